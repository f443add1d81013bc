"""How the time of each kernel grows: one size at a time, on one thread and on two."""
import datetime
import json
import statistics
import sys
from dataclasses import dataclass

import plots
import record
from ours import Failed, Ours

POWERS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]


@dataclass
class Kernel:
    operation: str
    title: str
    # Size: the default, the values.
    sweeps: dict
    shape: dict


def kernel(operation, title, shape=None, **sweeps):
    return Kernel(operation, title, sweeps, shape or {})


WIDTHS = (784, [98, 196, 392, 784, 1568])
UNITS = (2000, [125, 250, 500, 1000, 2000, 4000])
DENSITY = (100, [5, 10, 20, 50, 100, 200, 400, 700, 1000])
KERNELS = [
    kernel("dense", "dense product 256 x 784 x 2000", m=(256, POWERS), k=WIDTHS, n=UNITS),
    kernel("dense_nt", "dense product 256 x 784 x 2000, transposed", m=(256, POWERS), k=WIDTHS, n=UNITS),
    kernel("dense_tn", "gradient 2000 x 10, batch 2000", m=(2000, POWERS[3:]), n=(10, [1, 2, 5, 10, 20, 50, 100])),
    kernel("oja", "Oja 784 x 2000, batch 64", batch=(64, POWERS), n=WIDTHS, k=UNITS),
    kernel("sanger", "Sanger 784 x 2000, batch 64", batch=(64, POWERS[:10]), n=WIDTHS, k=UNITS),
    kernel("oja_per_unit", "Oja of single units 784 x 2000, batch 64", batch=(64, POWERS), n=WIDTHS, k=UNITS),
    kernel("ica", "independent components 784 x 2000, batch 64", batch=(64, POWERS[:11]), n=WIDTHS, k=UNITS),
    kernel("krotov", "Krotov-Hopfield 784 x 2000, batch 100", batch=(100, POWERS[:11]), n=WIDTHS, units=UNITS),
    kernel("winner_take_all", "winner-take-all 784 x 2000, batch 64", batch=(64, POWERS), winners=(1, [1, 4, 16, 64, 256]), k=UNITS),
    kernel("k_winners", "k winners of 500 x 2000", batch=(500, [5, 50, 500, 5000]), winners=(10, [1, 10, 100, 1000]), k=UNITS),
    kernel("gaussian", "Gaussian noise, 1,568,000 values", count=(1_568_000, [1568 * p for p in POWERS])),
    kernel("perturb", "weight perturbation 2000 x 10, batch 2000", batch=(2000, [20, 50, 100, 200, 500, 1000, 2000, 4000]), k=UNITS),
    kernel("normalise", "bytes to floats, 60,000 x 784", images=(60_000, [60, 200, 600, 2000, 6000, 20_000, 60_000])),
    kernel("spmm", "sparse product 256 x 784 x 2000, 10 %", batch=(256, POWERS), per_mille=DENSITY, k=UNITS),
    kernel("sampled", "sampled product 784 x 2000, 10 %, batch 256", batch=(256, POWERS), per_mille=DENSITY, k=UNITS),
    kernel("gradient", "masked gradient 784 x 2000, 10 %, batch 256", batch=(256, POWERS), per_mille=DENSITY, k=UNITS),
    kernel("field", "receptive fields, 100 units, batch 256", batch=(256, POWERS), units=(100, [10, 20, 50, 100, 200, 500, 1000])),
    kernel("histogram", "histogram of 10 M values, 100 bins", count=(10_000_000, [10_000, 100_000, 1_000_000, 10_000_000]), bins=(100, [2, 10, 30, 100, 300, 1000, 10_000])),
    kernel("entropy", "entropies of 60,000 x 50, 100 bins", rows=(60_000, [600, 2000, 6000, 20_000, 60_000]), cols=(50, [5, 10, 25, 50, 100, 200])),
    kernel("replicate", "self-replication of 20,000 particles", {"particles": 20_000}, particles=(20_000, [16, 200, 2000, 20_000, 200_000, 1_000_000]), steps=(1, [1, 4, 16])),
    kernel("organism", "organism's task step, batch 2000", batch=(2000, [20, 100, 500, 2000, 8000])),
    kernel("decode", "weights of 64 genotypes, 4000 genes", genotypes=(64, [16, 32, 64, 128, 256, 512]), genes=(4000, [500, 1000, 2000, 4000, 8000])),
    kernel("evaluate", "evaluation of 64 genotypes on 200 digits", {"genotypes": 64, "digits": 1}, genotypes=(64, [8, 16, 32, 64, 128, 256]), images=(200, [25, 50, 100, 200, 400, 800])),
    kernel("alleles", "alleles of 1000 genotypes, 4000 genes", genotypes=(1000, [64, 256, 1000, 4000, 16_000]), genes=(4000, [500, 1000, 2000, 4000, 8000])),
    kernel("generation", "generation, 256 genotypes, 500 digits", {"genotypes": 256, "images": 500}, genotypes=(256, [64, 128, 256, 512, 1024]), images=(500, [125, 250, 500, 1000, 2000]), fixed=(500, [125, 250, 500, 900, 990])),
    kernel("zscore", "magnitude z-score of a copy, 500 x 2000", batch=(500, [5, 50, 500, 5000]), k=UNITS),
    kernel("cross_entropy", "softmax cross-entropy, 2000 x 10", batch=(2000, [20, 200, 2000, 20_000]), classes=(10, [2, 10, 50, 250])),
    kernel("adam", "Adam's step, 1,568,000 weights", weights=(1_568_000, [15_680, 156_800, 1_568_000, 15_680_000])),
    kernel("reward", "reward-modulated step, 1000 x 10, batch 50", batch=(50, [1, 5, 50, 500]), n=(1000, [100, 1000, 10_000, 100_000])),
]


def sweep(binary, case, key, default, values, rounds, priority):
    milliseconds = {}
    for threads in (1, 2):
        milliseconds[str(threads)] = []
        for value in values:
            try:
                with Ours(binary, case.operation, case.shape | {key: value}, threads) as ours, priority(ours):
                    milliseconds[str(threads)].append(float(f"{statistics.median(ours.round() for _ in range(rounds)):.4g}"))
            except Failed as error:
                sys.exit(f"{case.title}, {key} {value}: failed: {error}")
    return {"key": key, "default": default, "values": values, "milliseconds": milliseconds}


def run(binary, wanted, quick, priority):
    found = {"date": datetime.date.today().isoformat(), **record.machine(binary), "kernels": []}
    print("| kernel | size | values | one thread, ms | two threads, ms |\n|---|---|---|---|---|")
    for case in filter(wanted, KERNELS):
        panel = {"title": case.title, "sweeps": []}
        for key, (default, values) in case.sweeps.items():
            one = sweep(binary, case, key, default, values[:: len(values) - 1] if quick else values, 1 if quick else 5, priority)
            panel["sweeps"].append(one)
            cells = [", ".join(map(str, cell)) for cell in (values, one["milliseconds"]["1"], one["milliseconds"]["2"])]
            print(f"| {case.title} | {key} | {' | '.join(cells)} |", flush=True)
        found["kernels"].append(panel)
    if not quick and len(found["kernels"]) == len(KERNELS):
        path = record.free(found, "scaling")
        with open(f"{path}.json", "x") as file:
            file.write(record.one_a_line(found))
        plots.scaling(found, f"{path}.svg")
