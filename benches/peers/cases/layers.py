"""Layers and their rules: dense products, Hebbian updates, noise, weight perturbation, bytes to floats."""
import ctypes

import numpy as np

from . import Case, Peer, dense_peers, mkl, random, torch, uniform

N, K = 784, 2000
RATE = 1e-6


def dense(shape, threads):
    rng, m, k, n = random(), shape.get("m", 256), shape.get("k", N), shape.get("n", K)
    a, b = uniform(rng, m, k), uniform(rng, k, n)

    def torch_mm():
        ta, tb = torch().from_numpy(a), torch().from_numpy(b)
        return lambda: ta @ tb

    return Case([*dense_peers(a, b), Peer("torch.mm", torch_mm)], {"a": a, "b": b})


def dense_nt(shape, threads):
    """a @ b.T, what gradients by the inputs of a layer are."""
    rng, m, k, n = random(), shape.get("m", 256), shape.get("k", N), shape.get("n", K)
    a, b = uniform(rng, m, k), uniform(rng, n, k)

    def torch_linear():
        ta, tb = torch().from_numpy(a), torch().from_numpy(b)
        return lambda: torch().nn.functional.linear(ta, tb)

    out = np.empty((m, n), np.float32)
    return Case([Peer("OpenBLAS", lambda: lambda: np.matmul(a, b.T, out=out)), Peer("torch.linear", torch_linear)], {"a": a, "b": b})


def dense_tn(shape, threads):
    """a.T @ b, what gradients by the weights of a layer are: of an output layer, if not said otherwise."""
    rng, m, k, n = random(), shape.get("m", 2000), shape.get("k", 2000), shape.get("n", 10)
    a, b = uniform(rng, k, m), uniform(rng, k, n)

    def by_torch():
        ta, tb = torch().from_numpy(a), torch().from_numpy(b)
        return lambda: ta.T @ tb

    out = np.empty((m, n), np.float32)
    return Case([Peer("OpenBLAS", lambda: lambda: np.matmul(a.T, b, out=out)), Peer("torch.mm", by_torch)], {"a": a, "b": b})


def small_weights(rng, *size):
    """So small that an update with a small rate is not lost in their rounding."""
    return (uniform(rng, *size) - np.float32(0.55)) * np.float32(1e-3)


def update(peers_of):
    def case(shape, threads):
        rng, batch, n, k = random(), shape.get("batch", 64), shape.get("n", N), shape.get("k", K)
        x, z, w = uniform(rng, batch, n), uniform(rng, batch, k), small_weights(rng, n, k)
        return Case(peers_of(x, z, w, np.float32(RATE / batch)), {"x": x, "z": z, "w": w}, 2e-3, w)

    return case


def oja(x, z, w, eta):
    def by_numpy():
        own = w.copy()
        return lambda: np.add(own, (eta * (x - z @ own.T)).T @ z, out=own)

    def by_torch():
        tx, tz, tw = (torch().from_numpy(a.copy()) for a in (x, z, w))
        return lambda: tw.addmm_(torch().addmm(tx, tz, tw.T, alpha=-1).T, tz, alpha=float(eta))

    return [Peer("NumPy", by_numpy), Peer("torch", by_torch)]


def oja_per_unit(x, z, w, eta):
    def by_numpy():
        own = w.copy()
        return lambda: np.add(own, eta * (x.T @ z - own * np.einsum("bj,bj->j", z, z)), out=own)

    def by_torch():
        tx, tz, tw = (torch().from_numpy(a.copy()) for a in (x, z, w))
        return lambda: tw.mul_(1 - float(eta) * tz.square().sum(0)).addmm_(tx.T, tz, alpha=float(eta))

    return [Peer("NumPy", by_numpy), Peer("torch", by_torch)]


def ica(x, z, w, eta):
    """With f = z, by whichever order takes fewer multiply-adds; at a hundred times the rate, whose changes the rounding of the weights does not hide."""
    eta = 100 * eta
    (batch, n), k = x.shape, z.shape[1]
    by_gram = k * (batch + n) <= 2 * batch * n

    def by_numpy():
        own = w.copy()
        return lambda: np.add(own, eta * (np.float32(batch) * own - (own @ (z.T @ z) if by_gram else (z @ own.T).T @ z)), out=own)

    def by_torch():
        t = torch()
        tz, tw = t.from_numpy(z.copy()), t.from_numpy(w.copy())

        def step():
            factors = (tw.clone(), tz.T @ tz) if by_gram else ((tz @ tw.T).T, tz)
            return tw.mul_(1 + float(eta) * batch).addmm_(*factors, alpha=-float(eta))

        return step

    return [Peer("NumPy", by_numpy), Peer("torch", by_torch)]


def sanger(x, z, w, eta):
    def by_torch():
        t = torch()
        tx, tz, tw = (t.from_numpy(a.copy()) for a in (x, z, w))
        return lambda: tw.add_(tx.T @ tz - tw @ t.tril(tz.T @ tz).T, alpha=float(eta))

    def by_blocks(block=25):
        """Block after block of units: what is before it is taken from x, and only what is within it needs a Gram matrix. As fast as any width of 16 to 50, where wider ones lose."""
        t = torch()
        tx, tz, tw = (t.from_numpy(a.copy()) for a in (x, z, w))

        def step():
            rest = tx.clone()
            for start in range(0, len(tw.T), block):
                zb, wb = tz[:, start : start + block], tw[:, start : start + block]
                change = t.addmm(rest.T @ zb, wb, t.tril(zb.T @ zb).T, alpha=-1)
                rest.addmm_(zb, wb.T, alpha=-1)
                wb.add_(change, alpha=float(eta))
            return tw

        return step

    def by_running_sums():
        """For one sample: what the units so far have taken of each input is a running sum."""
        t = torch()
        tx, tz, tw = t.from_numpy(x[0].copy())[:, None], t.from_numpy(z[0].copy()), t.from_numpy(w.copy())
        taken = t.empty_like(tw)

        def step():
            t.cumsum(t.mul(tw, tz, out=taken), 1, out=taken)
            return tw.addcmul_(taken.neg_().add_(tx), tz, value=float(eta))

        return step

    peers = [Peer("torch tril", by_torch), Peer("torch by blocks", by_blocks)]
    return peers + [Peer("torch running sums", by_running_sums)] if len(x) == 1 else peers


def krotov(shape, threads):
    rng, batch = random(), shape.get("batch", 100)
    w, x, columns = rng.standard_normal((K, N), dtype=np.float32), uniform(rng, N, batch), np.arange(batch)

    def by_numpy():
        own = w.copy()

        def step():
            total = own @ x
            best = np.argpartition(total, -2, axis=0)[-2:]
            order = np.argsort(np.take_along_axis(total, best, 0), axis=0)
            best = np.take_along_axis(best, order, 0)
            gate = np.zeros_like(total)
            gate[best[1], columns], gate[best[0], columns] = 1, -0.4
            change = gate @ x.T - (gate * total).sum(1)[:, None] * own
            return np.add(own, change * np.float32(1e-4 / np.abs(change).max()), out=own)

        return step

    def by_torch():
        t = torch()
        tw, tx = t.from_numpy(w.copy()), t.from_numpy(x)

        def step():
            total = tw @ tx
            _, index = total.topk(2, dim=0)
            gate = t.zeros(K, batch)
            gate.scatter_(0, index[:1], 1.0)
            gate.scatter_(0, index[1:], -0.4)
            change = gate @ tx.T
            change.addcmul_((gate * total).sum(1)[:, None], tw, value=-1.0)
            return tw.add_(change, alpha=float(1e-4 / change.abs().max()))

        return step

    def by_numpy_rows():
        """Of the units that win, which are few."""
        own, xt = w.copy(), np.ascontiguousarray(x.T)

        def step():
            total = own @ x
            best = np.argpartition(total, -2, axis=0)[-2:]
            values = np.take_along_axis(total, best, 0)
            order = np.argsort(values, axis=0)
            best, values = np.take_along_axis(best, order, 0), np.take_along_axis(values, order, 0)
            rows, place = np.unique(best, return_inverse=True)
            second, first = place.reshape(best.shape)
            gate, drag = np.zeros((len(rows), batch), np.float32), np.zeros(len(rows), np.float32)
            gate[first, columns], gate[second, columns] = 1, -0.4
            np.add.at(drag, first, values[1])
            np.add.at(drag, second, np.float32(-0.4) * values[0])
            change = gate @ xt - drag[:, None] * own[rows]
            own[rows] += change * np.float32(1e-4 / np.abs(change).max())
            return own

        return step

    def by_torch_rows():
        t = torch()
        tw, tx, txt = t.from_numpy(w.copy()), t.from_numpy(x), t.from_numpy(np.ascontiguousarray(x.T))

        def step():
            values, index = (tw @ tx).topk(2, dim=0)
            rows, place = t.unique(index, return_inverse=True)
            gate, drag = t.zeros(len(rows), batch), t.zeros(len(rows))
            gate.scatter_(0, place[:1], 1.0)
            gate.scatter_(0, place[1:], -0.4)
            drag.index_add_(0, place[0], values[0])
            drag.index_add_(0, place[1], values[1], alpha=-0.4)
            change = (gate @ txt).addcmul_(drag[:, None], tw[rows], value=-1.0)
            return tw.index_add_(0, rows, change, alpha=float(1e-4 / change.abs().max()))

        return step

    peers = [Peer("NumPy", by_numpy), Peer("torch", by_torch), Peer("NumPy, winners' rows", by_numpy_rows), Peer("torch, winners' rows", by_torch_rows)]
    return Case(peers, {"x": np.ascontiguousarray(x.T), "w": w}, 5e-3, w)


def distinct(rng, rows, cols):
    """Rows without equals, of which each library takes another for the winner."""
    ranks = rng.permuted(np.tile(np.arange(cols, dtype=np.float32), (rows, 1)), axis=1)
    return np.float32(0.05) + ranks * np.float32(0.95 / cols)


def winner_take_all(shape, threads):
    """Winners of a sample are pulled towards it; `winners` of 0 is a soft competition."""
    rng, batch, k = random(), shape.get("batch", 64), shape.get("winners", 1)
    x, z, w, eta = uniform(rng, batch, N), distinct(rng, batch, K), small_weights(rng, N, K), RATE / batch
    # A unit gets little of all samples: beside it the roundings of larger weights would show.
    w *= np.float32(1e-3)

    def by_torch():
        t = torch()
        tx, tz, tw = (t.from_numpy(a.copy()) for a in (x, z, w))

        def step():
            gate = t.softmax(tz, 1) if k == 0 else t.zeros_like(tz).scatter_(1, tz.topk(k, 1).indices, 1.0)
            # w (1 - eta sum of gates) + eta x^T gate, the signs of z being 1.
            return tw.mul_(1 - eta * gate.sum(0)).addmm_(tx.T, gate, alpha=eta)

        return step

    def by_torch_columns():
        """Of the units that win, which are few."""
        t = torch()
        tx, tz, tw = (t.from_numpy(a.copy()) for a in (x, z, w))

        def step():
            units, place, count = t.unique(tz.topk(k, 1).indices, return_inverse=True, return_counts=True)
            gate = t.zeros(batch, len(units)).scatter_(1, place, 1.0)
            tw[:, units] = (tw[:, units] * (1 - eta * count)).addmm_(tx.T, gate, alpha=eta)
            return tw

        return step

    def by_torch_sums():
        """Inputs added to their winners' sums one by one."""
        t = torch()
        tx, tz, tw = (t.from_numpy(a.copy()) for a in (x, z, w))

        def step():
            index = tz.topk(k, 1).indices.flatten()
            sums = t.zeros(K, N).index_add_(0, index, tx.repeat_interleave(k, 0) if k > 1 else tx)
            return tw.mul_(1 - eta * t.bincount(index, minlength=K)).add_(sums.T, alpha=eta)

        return step

    peers = [Peer("torch", by_torch)]
    if k:
        peers += [Peer("torch, winners' columns", by_torch_columns), Peer("torch, sums", by_torch_sums)]
    return Case(peers, {"x": x, "z": z, "w": w}, 2e-3, w)


def k_winners(shape, threads):
    batch, units, k = shape.get("batch", 500), shape.get("k", 2000), shape.get("winners", 10)
    y = distinct(random(), batch, units)

    def by_torch():
        t = torch()
        ty, out = t.from_numpy(y), t.empty(batch, units)

        def step():
            values, index = ty.topk(k, 1, sorted=False)
            return out.zero_().scatter_(1, index, values)

        return step

    def by_numpy():
        out = np.empty_like(y)

        def step():
            index = np.argpartition(y, units - k, axis=1)[:, units - k :]
            out.fill(0)
            np.put_along_axis(out, index, np.take_along_axis(y, index, 1), 1)
            return out

        return step

    return Case([Peer("torch", by_torch), Peer("NumPy", by_numpy)], {"y": y})


def gaussian(shape, threads):
    count = 1_568_000

    def by_mkl():
        library, stream, out = mkl(), ctypes.c_void_p(), np.empty(count, np.float32)
        library.vslNewStream.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
        library.vslNewStream(ctypes.byref(stream), 0x00D00000, 1)  # SFMT19937
        library.vsRngGaussian.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_float, ctypes.c_float]
        return lambda: library.vsRngGaussian(2, stream, count, out.ctypes.data, 0.0, 1.0)

    def by_torch():
        tensor = torch().empty(count)
        return lambda: tensor.normal_()

    def judge(values):
        # Six standard errors of the first four moments.
        values = values.astype(np.float64)
        for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            found = (values**power).mean()
            if abs(found - expected) > 6 * (variance / count) ** 0.5:
                return f"moment {power} is {found}"
        return None

    return Case([Peer("MKL", by_mkl), Peer("torch", by_torch)], judge=judge, compared=False)


def perturb(shape, threads):
    rng, batch, classes, sigma = random(), shape.get("batch", 2000), 10, 0.0126
    z, labels = uniform(rng, batch, K), rng.integers(0, classes, batch)
    w = (uniform(rng, K, classes) - np.float32(0.55)) * np.float32(0.1)

    def by_torch(product_of):
        def make():
            t = torch()
            tz, tw, noise, place = t.from_numpy(z), t.from_numpy(w.copy()), t.empty(K, classes), t.from_numpy(labels)
            product, loss = product_of(t, tz), t.nn.functional.cross_entropy

            def step():
                noise.normal_(0, sigma)
                change = loss(product(tw + noise), place) - loss(product(tw), place)
                tw.add_(noise * (tw != 0), alpha=float(-RATE / sigma**2 * change))

            return step

        return make

    def by_one_product():
        """Clean and perturbed outputs by one product, which reads z once."""
        t = torch()
        tz, tw, noise, place = t.from_numpy(z), t.from_numpy(w.copy()), t.empty(K, classes), t.from_numpy(labels)
        both, loss = t.empty(2 * classes, K), t.nn.functional.cross_entropy

        def step():
            noise.normal_(0, sigma)
            both[:classes], both[classes:] = (tw + noise).T, tw.T
            logits = t.ops.mkldnn._linear_pointwise(tz, both, None, "none", [], "")
            change = loss(logits[:, :classes], place) - loss(logits[:, classes:], place)
            tw.add_(noise * (tw != 0), alpha=float(-RATE / sigma**2 * change))

        return step

    onednn = lambda t, tz: lambda weight: t.ops.mkldnn._linear_pointwise(tz, weight.T.contiguous(), None, "none", [], "")
    plain = lambda t, tz: lambda weight: tz @ weight

    def judge(answer):
        """The noise is the step's direction; the step has to be what the change of the loss along it asks for."""
        step = answer.reshape(K, classes).astype(np.float64) - w
        noise = step * (sigma / step.std())

        def loss(weights):
            logits = z.astype(np.float64) @ weights
            top = logits.max(1)
            return (np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[np.arange(batch), labels]).mean()

        gain = -RATE / sigma**2 * (loss(w + noise) - loss(w.astype(np.float64)))
        # The direction is known but for its sign.
        opposite = RATE / sigma**2 * (loss(w - noise) - loss(w.astype(np.float64)))
        found = step.std() / sigma
        wrong = min(abs(gain - found), abs(opposite - found)) / found
        return None if wrong < 0.1 else f"the step is {found} along its noise, the loss asks for {gain}"

    peers = [Peer("torch, oneDNN products", by_torch(onednn)), Peer("torch, one oneDNN product", by_one_product), Peer("torch.mm products", by_torch(plain))]
    return Case(peers, {"z": z, "w": w, "labels": labels.astype(np.uint8)}, judge=judge, compared=False)


def cross_entropy(shape, threads):
    rng, batch, classes = random(), shape.get("batch", 2000), shape.get("classes", 10)
    logits, labels = uniform(rng, batch, classes), rng.integers(0, classes, batch)

    def by_torch():
        t = torch()
        tl, place = t.from_numpy(logits), t.from_numpy(labels)
        rows = t.arange(batch)

        def step():
            log = t.log_softmax(tl, 1)
            loss = -log[rows, place].mean()
            gradient = log.exp_()
            gradient[rows, place] -= 1
            return gradient, loss

        return step

    def by_numpy():
        rows = np.arange(batch)

        def step():
            log = logits - logits.max(1, keepdims=True)
            log -= np.log(np.exp(log).sum(1, keepdims=True))
            loss = -log[rows, labels].mean()
            gradient = np.exp(log, out=log)
            gradient[rows, labels] -= 1
            return gradient, loss

        return step

    def first(answer):
        return np.asarray(answer[0])

    return Case([Peer("torch", by_torch, first), Peer("NumPy", by_numpy, first)], {"logits": logits, "labels": labels.astype(np.uint8)})


def normalise(shape, threads):
    images = shape.get("images", 60_000)
    u = random().integers(0, 256, (images, N), dtype=np.uint8)

    def by_torch():
        tu, to = torch().from_numpy(u), torch().empty(images, N)
        return lambda: to.copy_(tu).mul_(1 / 255)

    def by_numpy():
        o = np.empty((images, N), np.float32)
        return lambda: np.multiply(u, np.float32(1 / 255), out=o, dtype=np.float32, casting="unsafe")

    def by_numba():
        """In one pass, which torch makes two of."""
        import numba

        @numba.njit(fastmath=True)
        def scaled(u, out):
            for i in range(u.size):
                out[i] = np.float32(u[i]) * np.float32(1 / 255)
            return out

        flat, out = u.ravel(), np.empty(u.size, np.float32)
        return lambda: scaled(flat, out)

    return Case([Peer("torch", by_torch), Peer("NumPy", by_numpy), Peer("numba", by_numba)], {"bytes": u})


# Of an epoch, in millionths, while answers are compared: a step then changes weights by far more than their rounding, and what is left out shows.
EPOCH_RATE = 1000


def epoch(shape, threads):
    """A pass over the data with the hidden layer's update, as the authors write it, and by Gram matrices as FastHebb does."""
    rng, batch, steps = random(), shape["batch"], shape["images"] // shape["batch"]
    x, w = uniform(rng, batch, N), (uniform(rng, N, K) - np.float32(0.55)) * np.float32(0.02)

    def rates():
        """That of the first run, which is compared, and that of all others, at which weights stay what they are."""
        yield np.float32(EPOCH_RATE * 1e-6 / batch)
        while True:
            yield np.float32(RATE / batch)

    def by_numpy():
        own, rate = w.copy(), rates()

        def run():
            eta = next(rate)
            for _ in range(steps):
                z = x @ own
                np.maximum(z, 0, out=z)
                np.add(own, (eta * (x - z @ own.T)).T @ z, out=own)
            return own

        return run

    def by_torch(gram):
        def make():
            t = torch()
            tx, tw, rate = t.from_numpy(x), t.from_numpy(w.copy()), rates()

            def run():
                eta = float(next(rate))
                for _ in range(steps):
                    z = t.relu_(tx @ tw)
                    if gram:
                        tw.add_(tx.T @ z - tw @ (z.T @ z), alpha=eta)
                    else:
                        tw.addmm_(t.addmm(tx, z, tw.T, alpha=-1).T, z, alpha=eta)
                return tw

            return run

        return make

    peers = [Peer("NumPy", by_numpy), Peer("torch", by_torch(False)), Peer("torch, Gram form", by_torch(True))]
    return Case(peers, {"x": x, "w": w}, 1e-3, w, check={"rate": EPOCH_RATE})


CASES = {"dense": dense, "dense_nt": dense_nt, "dense_tn": dense_tn, "oja": update(oja), "sanger": update(sanger), "oja_per_unit": update(oja_per_unit), "ica": update(ica), "krotov": krotov, "winner_take_all": winner_take_all, "k_winners": k_winners, "gaussian": gaussian, "perturb": perturb, "cross_entropy": cross_entropy, "normalise": normalise, "epoch": epoch}
