"""Times ours and what a user would pick instead, alternating in one run, and prints a Markdown table.

  cargo build --release --bench side_by_side
  python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/peers/requirements.txt
  /tmp/peers/bin/python benches/peers/compare.py [--rounds 9] [OP ...] > benches/record/CPU/DATE.md

Every row: one warm-up, then rounds of (ours, peer, peer ...), each round some 20 ms of calls; medians, and the ratio of the best
peer's median to ours. OpenBLAS is told to use AVX-512 where the CPU has it: NumPy's own choice, or an exported one, may not.
"""
import argparse
import ctypes
import glob
import os
import re
import statistics
import subprocess
import sys
import time
import warnings

warnings.filterwarnings("ignore", "Sparse")  # torch calls its CSR tensors a beta and unchecked
CPUINFO = open("/proc/cpuinfo").read()
os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX" if "avx512f" in CPUINFO else "HASWELL"
os.environ.pop("OPENBLAS_L2_SIZE", None)

# (row, operation, shape, threads)
ROWS = (
    [("oja", {"batch": b}, 1) for b in (1, 16, 64, 256, 1000)]
    + [("sanger", {}, 1), ("krotov", {}, 1), ("gaussian", {}, 1), ("perturb", {}, 1), ("normalise", {}, 1), ("dense", {}, 1)]
    + [("histogram", {}, 1), ("histogram", {"relu": 1}, 1), ("entropy", {}, 1)]
    + [("spmm", {"per_mille": d}, 1) for d in (5, 10, 50, 100, 250, 500, 1000)]
    + [("spmm", {"batch": 2000, "per_mille": d}, 1) for d in (5, 10, 50, 100, 250, 500, 1000)]
    + [("sampled", {}, 1), ("field", {}, 1)]
    + [("replicate", {"particles": 1125}, 1), ("replicate", {"particles": 20000}, 1), ("replicate", {"particles": 1000000}, 1)]
    + [("copy", {"particles": 1000000}, 1), ("organism", {}, 1)]
    + [("decode", {}, 1), ("evaluate", {}, 1), ("evaluate", {"digits": 1}, 1)]
    + [("generation", {"fixed": f}, 2) for f in (0, 500, 950, 990)]
    + [("epoch", {"batch": 2000}, 2), ("epoch", {"batch": 100}, 2)]
)
# Ours on one thread against ours on two.
SCALING = [("oja", {"batch": 1000}), ("sanger", {"batch": 256}), ("krotov", {"batch": 400}), ("gaussian", {}), ("perturb", {}), ("normalise", {}), ("dense", {"m": 2000}), ("histogram", {}), ("histogram", {"relu": 1}), ("entropy", {}),
    ("spmm", {"batch": 2000, "per_mille": 10}), ("spmm", {"batch": 2000, "per_mille": 100}), ("sampled", {"batch": 2000}), ("field", {"batch": 2000}),
    ("replicate", {"particles": 1000000}), ("replicate", {"particles": 20000, "steps": 25}), ("replicate", {"particles": 65536, "steps": 25, "cell": 5}),
    ("decode", {"genotypes": 256}), ("evaluate", {"genotypes": 256, "digits": 1}), ("generation", {}), ("generation", {"fixed": 990})]
# Of a whole generation the peers evaluate so many genotypes on so many images (lists are fastest at some 200), and are granted the rest at
# the same pace, and sampling, weights and rewards for nothing.
PART = (8, 200)


class Ours:
    def __init__(self, binary, operation, shape, threads):
        self.process = subprocess.Popen([binary, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.isa = self.ask(" ".join(["prepare", operation, f"threads={threads}", *(f"{k}={v}" for k, v in shape.items())])).split()[1]

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            sys.exit(f"{line}: {answer or 'no answer'}")
        return answer

    def round(self):
        return float(self.ask("round"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def peers(operation, shape, threads):
    """The same work by NumPy, torch and MKL, as a list of (name, call)."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    rng = np.random.default_rng(0)
    uniform = lambda *size: rng.random(size, dtype=np.float32) + np.float32(0.05)
    t = torch.from_numpy
    n, k, batch = 784, 2000, shape.get("batch", 64)

    def packed(x, w):
        """x @ w by oneDNN with w laid out beforehand."""
        weight = t(np.ascontiguousarray(w.T)).to_mkldnn()
        x = t(x)
        return lambda: torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")

    def dense_peers(a, b):
        c = np.empty((a.shape[0], b.shape[1]), np.float32)
        return [("OpenBLAS", lambda: np.matmul(a, b, out=c)), ("oneDNN", packed(a, b))]

    def sparse_peers(s, x):
        """s @ x by lists; both are given transposed and so is the answer, which spares the peers what ours does on the way."""
        library = glob.glob(os.path.join(sys.prefix, "lib", "libmkl_rt.so*"))[0]
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        os.environ["MKL_RT"] = library
        from sparse_dot_mkl import dot_product_mkl

        ts, tx = torch.sparse_csr_tensor(t(s.indptr), t(s.indices), t(s.data), size=s.shape), t(x)
        return [("MKL", lambda: dot_product_mkl(s, x, dense=True)), ("torch CSR", lambda: torch.mm(ts, tx)), ("SciPy", lambda: s @ x)]

    if operation == "dense":
        m = shape.get("m", 256)
        a, b, c = uniform(m, n), uniform(n, k), np.empty((m, k), np.float32)
        return [("OpenBLAS", lambda: np.matmul(a, b, out=c)), ("torch.mm", lambda: t(a) @ t(b)), ("oneDNN", packed(a, b))]
    if operation in ("oja", "sanger"):
        eta = np.float32(1e-6 / batch)
        x, z, w = uniform(batch, n), uniform(batch, k), uniform(n, k) * np.float32(0.03)
        tx, tz, tw = t(x.copy()), t(z.copy()), t(w.copy())
        if operation == "sanger":
            return [("torch tril", lambda: tw.add_(tx.T @ tz - tw @ torch.tril(tz.T @ tz).T, alpha=float(eta)))]
        return [
            ("NumPy", lambda: np.add(w, (eta * (x - z @ w.T)).T @ z, out=w)),
            ("torch", lambda: tw.addmm_(torch.addmm(tx, tz, tw.T, alpha=-1).T, tz, alpha=float(eta))),
        ]
    if operation == "krotov":
        w, x, columns = rng.standard_normal((k, n), dtype=np.float32), uniform(n, shape.get("batch", 100)), np.arange(shape.get("batch", 100))

        def numpy_step():
            total = w @ x
            best = np.argpartition(total, -2, axis=0)[-2:]
            order = np.argsort(np.take_along_axis(total, best, 0), axis=0)
            best = np.take_along_axis(best, order, 0)
            gate = np.zeros_like(total)
            gate[best[1], columns], gate[best[0], columns] = 1, -0.4
            step = gate @ x.T - (gate * total).sum(1)[:, None] * w
            np.add(w, step * np.float32(1e-4 / np.abs(step).max()), out=w)

        return [("NumPy", numpy_step)]
    if operation == "gaussian":
        count = 1_568_000
        out = np.empty(count, np.float32)
        mkl = ctypes.CDLL(glob.glob(os.path.join(sys.prefix, "lib", "libmkl_rt.so*"))[0])
        stream = ctypes.c_void_p()
        mkl.vslNewStream.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
        mkl.vslNewStream(ctypes.byref(stream), 0x00D00000, 1)
        mkl.vsRngGaussian.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_float, ctypes.c_float]
        tensor = torch.empty(count)
        return [("MKL", lambda: mkl.vsRngGaussian(2, stream, count, out.ctypes.data, 0.0, 1.0)), ("torch", lambda: tensor.normal_())]
    if operation == "perturb":
        batch, classes, sigma = shape.get("batch", 2000), 10, 0.0126
        z, w, labels = uniform(batch, k), uniform(k, classes) * np.float32(0.05), torch.from_numpy(rng.integers(0, classes, batch))
        tz, tw = t(z), t(w)
        noise = torch.empty(k, classes)
        loss = torch.nn.functional.cross_entropy

        def torch_step(product):
            def step():
                noise.normal_(0, sigma)
                change = loss(product(tw + noise), labels) - loss(product(tw), labels)
                tw.add_(noise * (tw != 0), alpha=float(-1e-6 / sigma**2 * change))

            return step

        onednn = lambda weight: torch.ops.mkldnn._linear_pointwise(tz, weight.T.contiguous(), None, "none", [], "")
        return [("torch, oneDNN products", torch_step(onednn)), ("torch.mm products", torch_step(lambda weight: tz @ weight))]
    if operation == "normalise":
        u, o = rng.integers(0, 256, (60_000, n), dtype=np.uint8), np.empty((60_000, n), np.float32)
        tu, to = t(u), t(o)
        return [("torch", lambda: to.copy_(tu).mul_(1 / 255)), ("NumPy", lambda: np.multiply(u, np.float32(1 / 255), out=o, dtype=np.float32, casting="unsafe"))]
    if operation == "histogram":
        import fast_histogram
        import numba

        x = np.maximum(rng.standard_normal(10_000_000, dtype=np.float32), 0) if shape.get("relu") else rng.random(10_000_000, dtype=np.float32)
        top, tx, total = np.float32(x.max()), t(x), np.zeros(100, np.int64)

        @numba.njit(fastmath=True)
        def four_parts(x, top, total, bins):
            scale, part = np.float32(bins) / top, np.zeros((4, bins), np.int32)
            for i in range(0, x.size // 4 * 4, 4):
                for j in range(4):
                    part[j, min(int(x[i + j] * scale), bins - 1)] += 1
            for j in range(4):
                for b in range(bins):
                    total[b] += part[j, b]

        return [
            ("numba", lambda: four_parts(x, top, total, 100)),
            ("fast_histogram", lambda: fast_histogram.histogram1d(x, 100, (0, top))),
            ("torch.histc", lambda: torch.histc(tx, 100, 0, float(top))),
        ]
    if operation == "entropy":
        import numba

        a, out = np.maximum(rng.standard_normal((60_000, 50), dtype=np.float32), 0), np.zeros(50)
        ta, offset = t(a), torch.arange(50, dtype=torch.int32) * 100

        @numba.njit(fastmath=True, parallel=threads > 1)
        def columns(a, out, bins):
            for c in numba.prange(a.shape[1]):
                top = np.float32(0)
                for i in range(a.shape[0]):
                    top = max(top, a[i, c])
                h, scale, entropy = np.zeros(bins, np.int64), np.float32(bins) / top, 0.0
                for i in range(a.shape[0]):
                    h[min(int(a[i, c] * scale), bins - 1)] += 1
                for b in range(bins):
                    if h[b] > 0:
                        p = h[b] / a.shape[0]
                        entropy -= p * np.log2(p)
                out[c] = entropy

        return [
            ("numba", lambda: columns(a, out, 100)),
            ("torch bincount", lambda: torch.bincount(((ta * (100 / ta.amax(0))).to(torch.int32).clamp_(max=99) + offset).view(-1), minlength=5000)),
        ]
    if operation in ("spmm", "sampled"):
        import scipy.sparse

        batch, density = shape.get("batch", 256), shape.get("per_mille", 100) / 1000
        x, z, mask = uniform(batch, n), uniform(batch, k), rng.random((n, k)) < density
        if operation == "spmm":
            w = uniform(n, k) * mask
            return [*dense_peers(x, w), *sparse_peers(scipy.sparse.csr_matrix(np.ascontiguousarray(w.T)), np.ascontiguousarray(x.T))]
        xt, mask = np.ascontiguousarray(x.T), mask.astype(np.float32)
        entries = scipy.sparse.csr_matrix(mask)
        indptr, indices = (t(a.astype(np.int64)) for a in (entries.indptr, entries.indices))
        pattern = torch.sparse_csr_tensor(indptr, indices, torch.zeros(entries.nnz), size=entries.shape)
        return [
            ("NumPy, dense then mask", lambda: (xt @ z) * mask),
            ("torch sampled_addmm", lambda: torch.sparse.sampled_addmm(pattern, t(xt), t(z), beta=0.0)),
        ]
    if operation == "decode":
        import scipy.sparse

        links, genes, genotypes = 88_400, 4000, shape.get("genotypes", 64)
        w = scipy.sparse.random(links, genes, 0.0025, format="csr", dtype=np.float32, random_state=0)
        return sparse_peers(w, (rng.random((genes, genotypes)) < 0.5).astype(np.float32))
    if operation in ("evaluate", "generation"):
        import scipy.sparse

        library = glob.glob(os.path.join(sys.prefix, "lib", "libmkl_rt.so*"))[0]
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        os.environ["MKL_RT"] = library
        from sparse_dot_mkl import dot_product_mkl

        whole = operation == "generation"
        genotypes, images = PART if whole else (shape.get("genotypes", 8), shape.get("images", 200))
        inputs, hidden, classes = 784, 1000, 10
        edges = np.flatnonzero(rng.random(inputs * hidden) < 0.1)
        rows, cols = np.divmod(edges, inputs)
        indptr, cols = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=hidden))]).astype(np.int32), cols.astype(np.int32)
        if whole or shape.get("digits"):
            data = os.path.join(os.path.dirname(__file__), "..", "..", "data")
            read = lambda name, skip: np.fromfile(os.path.join(data, name), np.uint8, offset=skip)
            place = np.arange(images) * 2000 // images
            x = read("train-images-idx3-ubyte", 16).reshape(-1, inputs)[place].astype(np.float32) / np.float32(255)
            label = read("train-labels-idx1-ubyte", 8)[place].astype(np.int64)
        else:
            x, label = uniform(images, inputs), np.arange(images) % classes
        w = (rng.random((genotypes, edges.size + hidden * classes), dtype=np.float32) - np.float32(0.5)) * np.float32(0.1)
        xt, pairs = np.ascontiguousarray(x.T), np.arange(images)
        txt, tx, tlabel, tw, tp, tc = t(xt), t(x), t(label), t(w), t(indptr), t(cols)
        cross = torch.nn.functional.cross_entropy

        def loss(logits):
            top = logits.max(0)
            return (np.log(np.exp(logits - top).sum(0)) + top - logits[label, pairs]).mean()

        def mkl_csr():
            for own in w:
                s = scipy.sparse.csr_matrix((own[: edges.size], cols, indptr), shape=(hidden, inputs))
                loss(own[edges.size :].reshape(classes, hidden) @ np.maximum(dot_product_mkl(s, xt, dense=True), 0))

        def torch_csr():
            for own in tw:
                s = torch.sparse_csr_tensor(tp, tc, own[: edges.size], size=(hidden, inputs))
                cross((own[edges.size :].view(classes, hidden) @ torch.relu_(torch.mm(s, txt))).T, tlabel)

        full = torch.zeros(inputs * hidden)
        places = t(edges)

        def torch_dense():
            for own in tw:
                full[places] = own[: edges.size]
                z = torch.ops.mkldnn._linear_pointwise(tx, full.view(hidden, inputs), None, "none", [], "")
                cross(torch.relu_(z) @ own[edges.size :].view(classes, hidden).T, tlabel)

        return [("MKL CSR", mkl_csr), ("torch CSR", torch_csr), ("oneDNN, dense", torch_dense)]
    if operation == "field":
        import scipy.sparse

        batch, units, side, edge = shape.get("batch", 256), shape.get("units", 100), 10, 30
        w = np.zeros((units, edge, edge), np.float32)
        for unit in range(units):
            for _ in range(2):
                r, c = rng.integers(0, edge - side + 1, 2)
                w[unit, r : r + side, c : c + side] += uniform(side, side)
        w, x = w.reshape(units, -1), uniform(batch, edge * edge)
        return [*dense_peers(x, np.ascontiguousarray(w.T)), *sparse_peers(scipy.sparse.csr_matrix(w), np.ascontiguousarray(x.T))]
    if operation in ("replicate", "copy", "organism"):
        import particle

        if operation == "copy":
            a = uniform(27 * shape["particles"])
            b = np.empty_like(a)
            return [("NumPy", lambda: np.copyto(b, a))]
        return particle.replicate(shape.get("particles", 1125), shape.get("cell", 3)) if operation == "replicate" else particle.organism()
    if operation == "epoch":
        batch = shape["batch"]
        eta, steps = np.float32(1e-6 / batch), 60_000 // batch
        x, w = uniform(batch, n), rng.standard_normal((n, k), dtype=np.float32) * np.float32(0.01)
        tx, tw = t(x.copy()), t(w.copy())

        def numpy_epoch():
            for _ in range(steps):
                z = np.maximum(x @ w, 0)
                np.add(w, (eta * (x - z @ w.T)).T @ z, out=w)

        def torch_epoch():
            for _ in range(steps):
                z = torch.relu_(tx @ tw)
                tw.addmm_(torch.addmm(tx, z, tw.T, alpha=-1).T, z, alpha=float(eta))

        def gram_epoch():
            for _ in range(steps):
                z = torch.relu_(tx @ tw)
                tw.add_(tx.T @ z - tw @ (z.T @ z), alpha=float(eta))

        return [("NumPy", numpy_epoch), ("torch", torch_epoch), ("torch, Gram form", gram_epoch)]
    sys.exit(f"no operation '{operation}'")


def mean_milliseconds(call, least=0.02):
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < least:
        call()
        calls += 1
    return (time.perf_counter() - start) * 1e3 / calls


def describe(shape):
    return ", ".join(f"{key} {value}" for key, value in shape.items()) or "default"


def one_row(binary, operation, shape, threads, rounds):
    """Runs in a process of its own: the thread count of a BLAS is fixed when it loads."""
    cases = peers(operation, shape, threads)
    ours = Ours(binary, operation, shape, threads)
    seen = {"ours": []} | {name: [] for name, _ in cases}
    for _, call in cases:
        call()
    rounds = 3 if operation in ("epoch", "generation") else rounds
    for _ in range(rounds):
        seen["ours"].append(ours.round())
        for name, call in cases:
            seen[name].append(mean_milliseconds(call))
    ours.close()
    median = {name: statistics.median(times) for name, times in seen.items()}
    if operation == "generation":
        median |= {name: median[name] * 1000 * 2000 / (PART[0] * PART[1]) for name, _ in cases}
    best = min(median[name] for name, _ in cases)
    rest = ", ".join(f"{name} {median[name]:.3g}" for name, _ in cases)
    print(f"| {operation} | {describe(shape)} | {threads} | {median['ours']:.3g} | {rest} | {best / median['ours']:.2f} |", flush=True)


def scaling(binary, operation, shape, rounds):
    runs = [Ours(binary, operation, shape, threads) for threads in (1, 2)]
    seen = [[], []]
    for _ in range(rounds):
        for run, times in zip(runs, seen):
            times.append(run.round())
    one, two = (statistics.median(times) for times in seen)
    for run in runs:
        run.close()
    print(f"| {operation} | {describe(shape)} | {one:.3g} | {two:.3g} | {one / two:.2f} |", flush=True)


def against(binary, other, operation, shape, threads, rounds):
    """Two builds of ours, in fresh processes each time: where memory lands differs from process to process."""
    seen = [[], []]
    for launch in range(rounds):
        runs = [Ours(path, operation, shape, threads) for path in (binary, other)]
        for _ in range(1 if operation == "epoch" else 5):
            for at in (0, 1) if launch % 2 else (1, 0):
                seen[at].append(runs[at].round())
        for run in runs:
            run.close()
    this, that = (statistics.median(times) for times in seen)
    print(f"| {operation} | {describe(shape)} | {threads} | {this:.3g} | {that:.3g} | {this / that:.2f} |", flush=True)


def find_binary():
    found = sorted(glob.glob(os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release", "deps", "side_by_side-*")), key=os.path.getmtime)
    found = [path for path in found if os.access(path, os.X_OK) and not path.endswith(".d")]
    return found[-1] if found else sys.exit("build first: cargo build --release --bench side_by_side")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations", nargs="*", help="only these operations")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--binary", help="the side_by_side bench (default: the newest build)")
    parser.add_argument("--against", metavar="BINARY", help="compare with another build of the bench instead of with peers")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    binary = given.binary or find_binary()
    if given.row is not None:
        operation, shape, threads = ROWS[given.row]
        return one_row(binary, operation, shape, threads, given.rounds)
    wanted = lambda operation: not given.operations or operation in given.operations
    cpu = re.search(r"model name\s*:\s*(.*)", CPUINFO)
    probe = Ours(binary, "gaussian", {"count": 16}, 1)
    print(f"CPU: {cpu.group(1) if cpu else 'unknown'}, {os.cpu_count()} cores; ours on {probe.isa}. Milliseconds, medians of alternating rounds.\n")
    probe.close()
    if given.against:
        print("| operation | shape | threads | this build | the other | this / other |\n|---|---|---|---|---|---|", flush=True)
        for operation, shape, threads in ROWS:
            if wanted(operation):
                against(binary, given.against, operation, shape, threads, given.rounds)
        return None
    print("| operation | shape | threads | ours | peers | best peer / ours |\n|---|---|---|---|---|---|", flush=True)
    for index, (operation, _, threads) in enumerate(ROWS):
        if wanted(operation):
            limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
            command = [sys.executable, __file__, "--row", str(index), "--rounds", str(given.rounds), "--binary", binary]
            subprocess.run(command, env=os.environ | limits, check=True)
    print("\n| operation | shape | one thread | two threads | gain |\n|---|---|---|---|---|", flush=True)
    for operation, shape in SCALING:
        if wanted(operation):
            scaling(binary, operation, shape, given.rounds)


if __name__ == "__main__":
    main()
