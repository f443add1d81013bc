"""Histograms and entropies."""
import numpy as np

from . import Case, Peer, random, torch


def histogram(shape, threads):
    rng, count = random(), 10_000_000
    x = np.maximum(rng.standard_normal(count, dtype=np.float32), 0) if shape.get("relu") else rng.random(count, dtype=np.float32)
    x[0] = 0  # The range is from 0 to the largest for everyone.
    top = np.float32(x.max())

    def by_numba():
        import numba

        @numba.njit(fastmath=True)
        def four_parts(x, top, bins):
            scale, part = np.float32(bins) / top, np.zeros((4, bins), np.int32)
            for i in range(0, x.size // 4 * 4, 4):
                for j in range(4):
                    part[j, min(int(x[i + j] * scale), bins - 1)] += 1
            return part

        return lambda: four_parts(x, top, 100)

    def by_fast_histogram():
        import fast_histogram

        return lambda: fast_histogram.histogram1d(x, 100, (0, top))

    def by_torch():
        tx = torch().from_numpy(x)
        return lambda: torch().histc(tx, 100, 0, float(top))

    def whole(counts):
        # It leaves out what equals the upper end.
        counts = counts.copy()
        counts[-1] += (x == top).sum()
        return counts

    peers = [Peer("numba", by_numba, lambda parts: parts.sum(0)), Peer("fast_histogram", by_fast_histogram, whole), Peer("torch.histc", by_torch)]
    # The peers' bins are not exact at their edges.
    return Case(peers, {"x": x}, 1e-3)


def entropy(shape, threads):
    rows, cols, bins = shape.get("rows", 60_000), shape.get("cols", 50), 100
    a = np.maximum(random().standard_normal((rows, cols), dtype=np.float32), 0)

    def by_numba():
        import numba

        @numba.njit(fastmath=True, parallel=threads > 1)
        def columns(a, bins):
            out = np.zeros(a.shape[1])
            for c in numba.prange(a.shape[1]):
                top = np.float32(0)
                for i in range(a.shape[0]):
                    top = max(top, a[i, c])
                h, scale, sum = np.zeros(bins, np.int64), np.float32(bins) / top, 0.0
                for i in range(a.shape[0]):
                    h[min(int(a[i, c] * scale), bins - 1)] += 1
                for b in range(bins):
                    if h[b] > 0:
                        p = h[b] / a.shape[0]
                        sum -= p * np.log2(p)
                out[c] = sum
            return out

        return lambda: columns(a, bins)

    def by_numba_rows():
        """Row by row, as the matrix lies in memory."""
        import numba

        @numba.njit(fastmath=True)
        def columns(a, bins):
            rows, cols = a.shape
            top = np.zeros(cols, np.float32)
            for i in range(rows):
                for c in range(cols):
                    top[c] = max(top[c], a[i, c])
            scale, h, out = np.float32(bins) / top, np.zeros((cols, bins), np.int32), np.zeros(cols)
            for i in range(rows):
                for c in range(cols):
                    h[c, min(int(a[i, c] * scale[c]), bins - 1)] += 1
            for c in range(cols):
                for b in range(bins):
                    if h[c, b] > 0:
                        p = h[c, b] / rows
                        out[c] -= p * np.log2(p)
            return out

        return lambda: columns(a, bins)

    def by_torch():
        """Only counts: the entropies themselves come for nothing."""
        t = torch()
        ta, offset = t.from_numpy(a), t.arange(cols, dtype=t.int32) * bins
        return lambda: t.bincount(((ta * (bins / ta.amax(0))).to(t.int32).clamp_(max=bins - 1) + offset).view(-1), minlength=cols * bins)

    def entropies(counts):
        p = np.maximum(counts.numpy().reshape(cols, bins) / rows, 1e-300)
        return -(p * np.log2(p)).sum(1)

    return Case([Peer("numba", by_numba), Peer("numba by rows", by_numba_rows), Peer("torch bincount", by_torch, entropies)], {"x": a}, 1e-3)


CASES = {"histogram": histogram, "entropy": entropy}
