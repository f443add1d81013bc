"""Layers whose weights or gradients are masked."""
import numpy as np

from . import Case, Peer, dense_peers, random, sparse_peers, torch, uniform

N, K = 784, 2000
EDGE, SIDE = 30, 10


def spmm(shape, threads):
    import scipy.sparse

    rng, batch, n, k = random(), shape.get("batch", 256), shape.get("n", N), shape.get("k", K)
    x, mask = uniform(rng, batch, n), rng.random((n, k)) < shape.get("per_mille", 100) / 1000
    w = uniform(rng, n, k) * mask
    lists = sparse_peers(scipy.sparse.csr_matrix(np.ascontiguousarray(w.T)), np.ascontiguousarray(x.T))
    return Case([*dense_peers(x, w, True), *lists], {"x": x, "w": w, "mask": mask.astype(np.uint8)})


def sampled(shape, threads):
    import scipy.sparse

    rng, batch, n, k = random(), shape.get("batch", 256), shape.get("n", N), shape.get("k", K)
    x, z, mask = uniform(rng, batch, n), uniform(rng, batch, k), rng.random((n, k)) < shape.get("per_mille", 100) / 1000
    xt, factor = np.ascontiguousarray(x.T), mask.astype(np.float32)

    def by_torch():
        t = torch()
        entries = scipy.sparse.csr_matrix(factor)
        indptr, indices = (t.from_numpy(a.astype(np.int64)) for a in (entries.indptr, entries.indices))
        pattern = t.sparse_csr_tensor(indptr, indices, t.zeros(entries.nnz), size=entries.shape)
        tx, tz = t.from_numpy(xt), t.from_numpy(z)
        return lambda: t.sparse.sampled_addmm(pattern, tx, tz, beta=0.0)

    peers = [
        Peer("NumPy, dense then mask", lambda: lambda: (xt @ z) * factor, lambda y: y[mask]),
        Peer("torch sampled_addmm", by_torch, lambda y: y.values().numpy()),
    ]
    return Case(peers, {"x": x, "z": z, "mask": mask.astype(np.uint8)})


def field(shape, threads):
    import scipy.sparse

    rng, batch, units = random(), shape.get("batch", 256), shape.get("units", 100)
    corners, weights = rng.integers(0, EDGE - SIDE + 1, (units, 2, 2)), uniform(rng, units, 2, SIDE, SIDE)
    w = np.zeros((units, EDGE, EDGE), np.float32)
    for unit in range(units):
        for (row, col), weight in zip(corners[unit], weights[unit]):
            w[unit, row : row + SIDE, col : col + SIDE] += weight
    w, x = w.reshape(units, -1), uniform(rng, batch, EDGE * EDGE)
    lists = sparse_peers(scipy.sparse.csr_matrix(w), np.ascontiguousarray(x.T))
    return Case([*dense_peers(x, np.ascontiguousarray(w.T), True), *lists], {"x": x, "w": weights, "corners": corners.astype(np.uint32)})


CASES = {"spmm": spmm, "sampled": sampled, "field": field}
