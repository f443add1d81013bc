"""Where lists, fields and sampled products stop winning over the dense product: the tables of `kernels::masked::MaskedWeights`.

  python benches/peers/crossovers.py [--priority]     NEUROPIL_SIMD=avx2 for other instruction sets

Lists and dense product of one shape by turns at rising densities; the crossover is where the ratio of their medians passes 1, between two
densities in proportion. 784 inputs and 2000 units; fields: 100 units, two squares each of a map of 30 x 30.
"""
import statistics
import sys

import priority
from ours import Failed, Ours, find_binary

DENSITIES = [60, 100, 140, 180, 220, 260, 300, 350, 400, 450, 500, 600]
SIDES = [8, 9, 10, 11, 12, 13, 14, 15, 16, 18]
BATCHES = [1, 4, 8, 16, 32, 64, 128, 256, 1000, 2000]
ROUNDS = 7


def ratio(binary, one, other, order):
    """The time of the first over that of the second."""
    with Ours(binary, *one, 1) as a, Ours(binary, *other, 1) as b, order(a, b):
        times = [(a.round(), b.round()) for _ in range(ROUNDS)]
    first, second = (statistics.median(column) for column in zip(*times))
    return first / second


def crossover(points):
    """Where the ratio passes 1, of (density, ratio) pairs that come one by one; none if it does not."""
    before = None
    for density, at in points:
        if at > 1:
            return density if before is None else before[0] + (density - before[0]) * (1 - before[1]) / (at - before[1])
        before = density, at
    return None


def main():
    binary, order = find_binary(), priority.real_time if "--priority" in sys.argv else priority.normal
    print("| batch | lists | fields | sampled |\n|---|---|---|---|", flush=True)
    for batch in BATCHES:
        dense = ("spmm", {"batch": batch, "per_mille": 1000})
        lists = ((d / 1000, ratio(binary, ("spmm", {"batch": batch, "per_mille": d, "lists": 1}), dense, order)) for d in DENSITIES)
        of_map = ("spmm", {"batch": batch, "n": 900, "k": 100, "per_mille": 1000})
        fields = ((2 * side * side / 900, ratio(binary, ("field", {"batch": batch, "side": side, "lists": 1}), of_map, order)) for side in SIDES)
        # A dense gradient's entries are picked from the product, so its time grows with the density too; below some it cannot be had.
        sampled = ((d / 1000, ratio(binary, ("sampled", {"batch": batch, "per_mille": d}), ("gradient", {"batch": batch, "per_mille": d}), order)) for d in DENSITIES)
        cells = []
        for points in (lists, fields, sampled):
            try:
                at = crossover(points)
                cells.append("none" if at is None else f"{at:.2f}")
            except Failed as error:
                cells.append(str(error))
        print(f"| {batch} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
