"""Populations of genotypes: their weights, their evaluation, a whole generation."""
import os

import numpy as np

from . import Case, Peer, mkl, random, sparse_peers, torch, uniform

INPUTS, HIDDEN, CLASSES = 784, 1000, 10
# Of a whole generation the peers evaluate so many genotypes on so many images (lists are fastest at some 200), and are granted the rest at
# the same pace, and sampling, weights and rewards for nothing.
PART = (8, 200)
DATA = os.path.join(os.path.dirname(__file__), "..", "..", "..", "data")


def decode(shape, threads):
    import scipy.sparse

    rng, links, genes, genotypes = random(), 88_400, 4000, shape.get("genotypes", 64)
    w = scipy.sparse.random(links, genes, 0.0025, format="csr", dtype=np.float32, random_state=0)
    bits, entries = (rng.random((genes, genotypes)) < 0.5).astype(np.float32), w.tocoo()
    inputs = {"link": entries.row.astype(np.uint32), "gene": entries.col.astype(np.uint32), "value": entries.data, "bits": bits.astype(np.uint8)}
    return Case(sparse_peers(w, bits, np.asarray), inputs)


def digits(count):
    read = lambda name, skip: np.fromfile(os.path.join(DATA, name), np.uint8, offset=skip)
    place = np.arange(count) * 2000 // count
    x = read("train-images-idx3-ubyte", 16).reshape(-1, INPUTS)[place].astype(np.float32) / np.float32(255)
    return x, read("train-labels-idx1-ubyte", 8)[place].astype(np.int64)


def evaluation(genotypes, images, real):
    rng = random()
    edges = np.flatnonzero(rng.random(INPUTS * HIDDEN) < 0.1)
    rows, cols = np.divmod(edges, INPUTS)
    indptr, cols = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=HIDDEN))]).astype(np.int32), cols.astype(np.int32)
    x, label = digits(images) if real else (uniform(rng, images, INPUTS), np.arange(images) % CLASSES)
    w = (rng.random((genotypes, edges.size + HIDDEN * CLASSES), dtype=np.float32) - np.float32(0.5)) * np.float32(0.1)
    xt, pairs, split = np.ascontiguousarray(x.T), np.arange(images), edges.size

    def loss(logits):
        top = logits.max(0)
        return (np.log(np.exp(logits - top).sum(0)) + top - logits[label, pairs]).mean()

    def mkl_csr():
        import scipy.sparse

        mkl()
        from sparse_dot_mkl import dot_product_mkl

        def one(own):
            s = scipy.sparse.csr_matrix((own[:split], cols, indptr), shape=(HIDDEN, INPUTS))
            return loss(own[split:].reshape(CLASSES, HIDDEN) @ np.maximum(dot_product_mkl(s, xt, dense=True), 0))

        return lambda: [one(own) for own in w]

    def torch_csr():
        t = torch()
        tw, tx, tp, tc, tlabel = (t.from_numpy(a) for a in (w, xt, indptr, cols, label))

        def one(own):
            s = t.sparse_csr_tensor(tp, tc, own[:split], size=(HIDDEN, INPUTS))
            return t.nn.functional.cross_entropy((own[split:].view(CLASSES, HIDDEN) @ t.relu_(t.mm(s, tx))).T, tlabel)

        return lambda: [float(one(own)) for own in tw]

    def torch_dense():
        t = torch()
        tw, tx, places, tlabel = (t.from_numpy(a) for a in (w, x, edges, label))
        full = t.zeros(INPUTS * HIDDEN)

        def one(own):
            full[places] = own[:split]
            z = t.ops.mkldnn._linear_pointwise(tx, full.view(HIDDEN, INPUTS), None, "none", [], "")
            return t.nn.functional.cross_entropy(t.relu_(z) @ own[split:].view(CLASSES, HIDDEN).T, tlabel)

        return lambda: [float(one(own)) for own in tw]

    peers = [Peer("MKL CSR", mkl_csr), Peer("torch CSR", torch_csr), Peer("oneDNN, dense", torch_dense)]
    # Ours has the links of each hidden unit together; here, those of each class.
    out = w[:, split:].reshape(genotypes, CLASSES, HIDDEN).transpose(0, 2, 1).reshape(genotypes, -1)
    weights = np.concatenate([w[:, :split], out], 1)
    inputs = {"from_input": cols.astype(np.uint32), "to_unit": rows.astype(np.uint32), "weights": weights, "x": x, "labels": label.astype(np.uint8)}
    return Case(peers, inputs)


def evaluate(shape, threads):
    return evaluation(shape.get("genotypes", 8), shape.get("images", 200), shape.get("digits"))


def generation(shape, threads):
    case = evaluation(*PART, True)

    def judge(answer):
        """Of the first frequencies, those of our generation, and those of the reference's."""
        start, ours, reference = answer.astype(np.float64).reshape(3, -1)
        change = np.abs(reference - start).max()
        distance = np.abs(ours - reference).max()
        if not 0 < distance + change:
            return "a generation changes nothing"
        return None if distance <= case.tolerance * change else f"ours is {distance / change:.1e} of the change from the reference"

    part = {"genotypes": PART[0], "images": PART[1], "digits": 1}
    check = {"genotypes": 70, "images": 20, "genes": 100, "judged": 1}
    share = 1000 * 2000 / (PART[0] * PART[1])
    return Case(case.peers, case.inputs, judge=judge, check=check, like=("evaluate", part), share=share, fewer_threads=True, least=0.5)


CASES = {"decode": decode, "evaluate": evaluate, "generation": generation}
