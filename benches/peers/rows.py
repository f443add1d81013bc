"""What is measured: rows beside the peers, rows of one thread against two, what each has to reach, and its floor.

A floor is the time that the arithmetic takes at the machine's peak, or that the bytes take to be moved at the speed of the level they
lie in, whichever is longer; the limits are measured in the same run. Where a kernel is bound by instructions other than multiply-adds,
its cycles are counted instead.
"""
from dataclasses import dataclass, field

INPUTS, UNITS = 784, 2000
WEIGHTS = INPUTS * UNITS


@dataclass
class Bar:
    """A ratio to reach: best peer's time to ours, or one thread's to two's. `against` names peers, by name or by kind."""

    least: float
    aim: float | None = None
    against: str | None = None
    # Instead of a ratio: the fraction of the floor that is the aim.
    aim_floor: float | None = None


@dataclass
class Row:
    kernel: str
    operation: str
    shape: dict
    bars: list
    floor: dict = field(default_factory=dict)
    threads: int = 1
    # How the shape reads in a table.
    label: str = ""
    # In the summary of the README, and in the plot.
    summary: bool = False
    slow: bool = False
    # What binds it, of two threads: "arithmetic" or "memory".
    bound: str = "arithmetic"


def oja(batch, least, summary=True, **aim):
    floor = {"multiply_adds": 2 * batch * WEIGHTS, "L3": 2 * 4 * WEIGHTS}
    return Row("Oja's subspace rule", "oja", {"batch": batch}, [Bar(least, **aim)], floor, label=f"784 x 2000, batch {batch}", summary=summary)


def sparse(batch, per_mille, bars, summary=False):
    entries = WEIGHTS * per_mille / 1000 * batch
    # By lists every multiply-add loads its sample: from L2, or from L1 where lists are long enough to go through the inputs in blocks
    # (`blocks` in src/kernels/masked/lists.rs); dense, none does.
    level = "L1" if INPUTS * per_mille / 1000 >= 10 * -(-INPUTS // 144) else "L2"
    lists, dense = {"multiply_adds": entries, level: 4 * entries}, {"multiply_adds": WEIGHTS * batch}
    if batch <= 8:
        # Reading entries or weights, once.
        lists, dense = {"L2" if per_mille < 50 else "L3": 8 * entries / batch}, dense | {"L3": 4 * WEIGHTS}
    floor = {"either": [lists, dense]}
    label = f"{batch} x 784 x 2000, {per_mille / 10:g} %"
    return Row("sparse product", "spmm", {"batch": batch, "per_mille": per_mille}, bars, floor, label=label, summary=summary)


def replicate(particles, label, least, aim, level, summary=True):
    # From memory they are read while others are written; a cache's limit is of reads, and counts both.
    moved = 27 * 4 * particles
    floor = {"multiply_adds": 190 * particles} | ({"read": moved, "write": moved} if level == "read" else {level: 2 * moved})
    return Row("self-replication step", "replicate", {"particles": particles}, [Bar(least, aim, "jax"), Bar(1)] if least else [], floor, label=label, summary=summary)


def generation(fixed, least, aim):
    # Per genotype and image: the edges of pixels that are not zero, some 19 %, and the output layer.
    floor = {"multiply_adds": 1000 * 2000 * 20_500} if not fixed else {}
    label = f"1000 genotypes, 2000 digits, {fixed / 10:g} % of genes fixed"
    bars = [Bar(least, aim)] if least else []
    return Row("generation of evolution", "generation", {"fixed": fixed}, bars, floor, 2, label, summary=fixed != 500, slow=True)


ANY = Bar(1, 1.5)
ROWS = [
    oja(1, 1.6, aim_floor=0.9),
    oja(16, 2),
    oja(64, 1.5, aim_floor=0.85),
    oja(256, 1, aim_floor=0.85),
    oja(1000, 1, aim_floor=0.85),
    Row("Sanger's rule", "sanger", {}, [Bar(10, 20, "torch tril"), Bar(1)], {"multiply_adds": 2 * 64 * WEIGHTS}, label="784 x 2000, batch 64", summary=True),
    Row("Sanger's rule", "sanger", {"batch": 1}, [Bar(1)], {"L3": 2 * 4 * WEIGHTS}, label="784 x 2000, batch 1", summary=True),
    Row("Sanger's rule", "sanger", {"batch": 256}, [Bar(1)], {"multiply_adds": 2 * 256 * WEIGHTS}, label="784 x 2000, batch 256"),
    Row("Oja's subspace rule", "oja", {"batch": 256, "k": 16}, [Bar(1)], {"multiply_adds": 256 * 784 * 16 + 16 * 16 * (256 + 784)}, label="784 x 16, batch 256"),
    Row("Oja's subspace rule", "oja", {"batch": 16, "k": 100}, [Bar(1)], {"multiply_adds": 2 * 16 * 784 * 100}, label="784 x 100, batch 16"),
    Row("Sanger's rule", "sanger", {"batch": 256, "k": 16}, [Bar(1)], {"multiply_adds": 256 * 784 * 16 + 16 * 16 * (256 + 392)}, label="784 x 16, batch 256"),
    Row("Oja's rule of single units", "oja_per_unit", {}, [Bar(1)], {"multiply_adds": 64 * WEIGHTS, "L3": 2 * 4 * WEIGHTS}, label="784 x 2000, batch 64"),
    Row("Oja's rule of single units", "oja_per_unit", {"batch": 1}, [Bar(1)], {"L3": 2 * 4 * WEIGHTS}, label="784 x 2000, batch 1"),
    Row("Oja's rule of single units", "oja_per_unit", {"batch": 256, "k": 16}, [Bar(1)], {"multiply_adds": 256 * 784 * 16}, label="784 x 16, batch 256"),
    Row("independent components", "ica", {}, [Bar(1)], {"multiply_adds": 2 * 64 * WEIGHTS}, label="784 x 2000, batch 64"),
    Row("independent components", "ica", {"batch": 1}, [Bar(1)], {"L3": 3 * 4 * WEIGHTS}, label="784 x 2000, batch 1"),
    Row("independent components", "ica", {"batch": 1000, "k": 64}, [Bar(1)], {"multiply_adds": 64 * 64 * (1000 + 784)}, label="784 x 64, batch 1000"),
    Row("Krotov-Hopfield step", "krotov", {}, [Bar(3, 4.5, "NumPy"), Bar(1)], {"multiply_adds": 100 * WEIGHTS}, label="784 x 2000, batch 100", summary=True),
    Row("Krotov-Hopfield step", "krotov", {"batch": 1}, [Bar(1)], {"L3": 4 * WEIGHTS}, label="784 x 2000, one sample"),
    *(
        Row("winner-take-all", "winner_take_all", {"batch": batch, "winners": winners}, [Bar(1)], {"L3": bytes}, label=f"784 x 2000, batch {batch}, {label}", summary=(batch, winners) == (64, 1))
        for batch, winners, label, bytes in ((64, 1, "one winner", 2 * 4 * 784 * 64 + 4 * 64 * 2000), (2000, 10, "ten winners", 2 * 4 * WEIGHTS + 4 * 2000 * 2784))
    ),
    Row("winner-take-all", "winner_take_all", {"batch": 64, "winners": 0}, [Bar(1)], {"multiply_adds": 64 * WEIGHTS, "L3": 2 * 4 * WEIGHTS}, label="784 x 2000, batch 64, soft"),
    Row("k winners stay", "k_winners", {}, [Bar(1)], {"L3": 3 * 4 * 500 * 2000}, label="500 x 2000, ten of each", summary=True),
    Row("k winners stay", "k_winners", {"batch": 50, "k": 100_000, "winners": 256}, [Bar(1)], {"read": 4 * 50 * 100_000, "write": 4 * 50 * 100_000}, label="50 x 100,000, 256 of each"),
    Row("Gaussian noise", "gaussian", {}, [Bar(3, 5)], {"L3": 4 * 1_568_000, "cycles": 25 * 1_568_000 / 32}, label="1.6 M values", summary=True),
    Row("weight perturbation step", "perturb", {}, [Bar(1.8, 3)], {"multiply_adds": 2 * 2000 * 2000 * 10, "L3": 4 * 2000 * 2000}, label="2000 x 10, batch 2000", summary=True),
    Row("softmax cross-entropy", "cross_entropy", {}, [Bar(1)], {"L2": 2 * 4 * 2000 * 10}, label="2000 x 10, with its gradient", summary=True),
    Row("bytes to floats", "normalise", {}, [Bar(2, 2.6, "torch"), Bar(1)], {"read": 60_000 * 784, "write": 4 * 60_000 * 784}, label="60,000 x 784", summary=True),
    Row("dense product", "dense", {}, [Bar(0.9, 1)], {"multiply_adds": 256 * WEIGHTS}, label="256 x 784 x 2000", summary=True),
    Row("dense product", "dense", {"m": 1}, [Bar(1)], {"L3": 4 * WEIGHTS}, label="1 x 784 x 2000", summary=True),
    Row("dense product", "dense", {"m": 8}, [Bar(1)], {"multiply_adds": 8 * WEIGHTS, "L3": 4 * WEIGHTS}, label="8 x 784 x 2000"),
    Row("dense product", "dense", {"m": 32}, [Bar(1)], {"multiply_adds": 32 * WEIGHTS, "L3": 4 * WEIGHTS}, label="32 x 784 x 2000"),
    Row("dense product", "dense", {"m": 2000, "n": 1}, [], {"L3": 4 * 784 * 2000}, label="2000 x 784 x 1"),
    Row("dense product", "dense_nt", {"m": 1}, [], {"L3": 4 * WEIGHTS}, label="1 x 784 x 2000, transposed"),
    Row("dense product", "dense_nt", {"m": 8}, [Bar(1)], {"multiply_adds": 8 * WEIGHTS, "L3": 4 * WEIGHTS}, label="8 x 784 x 2000, transposed"),
    Row("dense product", "dense_nt", {"m": 64, "k": 2000, "n": 10}, [Bar(1)], {"multiply_adds": 64 * 2000 * 10, "L2": 4 * 2000 * (64 + 10)}, label="64 x 2000 x 10, transposed"),
    Row("dense product", "dense_tn", {}, [Bar(1)], {"multiply_adds": 2000 * 2000 * 10, "L3": 4 * 2000 * 2000}, label="gradient, 2000 x 10, batch 2000", summary=True),
    Row("histogram, 100 bins", "histogram", {}, [Bar(2, 3)], {"cycles": 5e6, "read": 4e7}, label="10 M uniform values", summary=True),
    Row("histogram, 100 bins", "histogram", {"relu": 1}, [Bar(1.8, 3)], {"cycles": 5e6, "read": 4e7}, label="10 M rectified values", summary=True),
    Row("entropy per column", "entropy", {}, [Bar(1), Bar(3, 5, "numba")], {"cycles": 3e6, "L3": 2 * 12e6}, label="60,000 x 50", summary=True),
    Row("entropy per column", "entropy", {"rows": 5000, "cols": 2000}, [Bar(1)], {"cycles": 1e7, "read": 2 * 4e7}, label="5000 x 2000"),
    *(sparse(batch, per_mille, [ANY]) for batch in (1, 8) for per_mille in (10, 100)),
    sparse(256, 5, [ANY]),
    sparse(256, 10, [Bar(2, 4, "lists"), ANY], True),
    sparse(256, 50, [Bar(2.5, 4, "lists"), ANY], True),
    sparse(256, 100, [Bar(3, 4, "lists"), ANY], True),
    sparse(256, 250, [ANY]),
    # Where ours is as fast and no more.
    sparse(256, 500, [ANY], True),
    sparse(256, 1000, [ANY], True),
    *(sparse(2000, per_mille, [ANY]) for per_mille in (5, 10, 50, 100, 250, 500, 1000)),
    Row("sampled product", "sampled", {}, [Bar(2, 3)], {"multiply_adds": 0.1 * WEIGHTS * 256, "L2": 0.4 * WEIGHTS * 256}, label="784 x 2000, 10 %, batch 256", summary=True),
    *(Row("sampled product", "sampled", {"batch": batch}, [Bar(1)], {"L3": 8 * 0.1 * WEIGHTS}, label=f"784 x 2000, 10 %, batch {batch}") for batch in (1, 8)),
    Row("receptive fields", "field", {"batch": 8}, [Bar(1)], {"multiply_adds": 8 * 90_000, "L2": 4 * 90_000}, label="100 units, two 10 x 10 of 30 x 30, batch 8"),
    Row("receptive fields", "field", {}, [Bar(1.5, 3)], {"multiply_adds": 200 * 100 * 256, "L1": 4 * 200 * 100 * 256}, label="100 units, two 10 x 10 of 30 x 30, batch 256", summary=True),
    replicate(1125, "1125 particles", 15, 50, "L1"),
    replicate(20_000, "20,000 particles", 30, 100, "L2"),
    replicate(1_000_000, "a million particles", None, None, "read", False),
    Row("organism's task step", "organism", {}, [Bar(100, 500, "authors' torch loop")], {"multiply_adds": 2000 * (2 * 1200 + 75), "L2": 2 * 4 * 2000 * 225}, label="225-5-5-10, batch 2000", summary=True, slow=True),
    Row("weights of genotypes", "decode", {}, [Bar(3.5, 5)], {"multiply_adds": 884_000 * 64, "L3": 4 * 88_400 * 64 + 8 * 884_000}, label="88,400 links, 4000 genes, 64 genotypes", summary=True),
    Row("weights of genotypes", "decode", {"genotypes": 8}, [Bar(1)], {"L3": 8 * 884_000}, label="88,400 links, 4000 genes, 8 genotypes"),
    Row("evaluation of genotypes", "evaluate", {}, [Bar(5)], {"multiply_adds": 8 * 200 * 88_400}, label="8 on 200 random images", summary=True),
    Row("evaluation of genotypes", "evaluate", {"digits": 1}, [Bar(12, 20)], {"multiply_adds": 8 * 200 * 20_500}, label="8 on 200 digits", summary=True),
    generation(0, 12, 20),
    generation(500, None, None),
    generation(950, 12, 40),
    generation(990, 40, 40),
    Row("epoch of Oja's rule", "epoch", {"batch": 2000, "images": 12_000}, [Bar(1, against="NumPy"), Bar(2, against="torch"), Bar(1)], {}, 2, "12,000 images, batch 2000", summary=True, slow=True),
    Row("epoch of Oja's rule", "epoch", {"batch": 1, "images": 500}, [Bar(1)], {}, 1, "500 images one by one", summary=True, slow=True),
    Row("epoch of Oja's rule", "epoch", {"batch": 100, "images": 6000}, [Bar(4, against="torch, Gram form"), Bar(1)], {}, 2, "6000 images, batch 100", summary=True, slow=True),
]

ARITHMETIC, MEMORY = "arithmetic", "memory"


def both(kernel, operation, shape, bound, label):
    return Row(kernel, operation, shape, [Bar(1.8 if bound == ARITHMETIC else 1.5, 1.95)], {}, 2, label, bound=bound)


# Ours on one thread against ours on two.
TWO_THREADS = [
    both("Oja's subspace rule", "oja", {"batch": 64}, ARITHMETIC, "batch 64"),
    both("Oja's subspace rule", "oja", {"batch": 1000}, ARITHMETIC, "batch 1000"),
    both("Sanger's rule", "sanger", {"batch": 256}, ARITHMETIC, "batch 256"),
    both("Oja's rule of single units", "oja_per_unit", {"batch": 256}, ARITHMETIC, "batch 256"),
    both("independent components", "ica", {"batch": 256}, ARITHMETIC, "batch 256"),
    both("Krotov-Hopfield step", "krotov", {"batch": 400}, ARITHMETIC, "batch 400"),
    both("winner-take-all", "winner_take_all", {"batch": 2000, "winners": 10}, MEMORY, "batch 2000, ten winners"),
    both("winner-take-all", "winner_take_all", {"batch": 256, "winners": 0}, ARITHMETIC, "batch 256, soft"),
    both("k winners stay", "k_winners", {"batch": 50, "k": 100_000, "winners": 256}, MEMORY, "50 x 100,000, 256 of each"),
    both("Gaussian noise", "gaussian", {}, ARITHMETIC, "1.6 M values"),
    both("weight perturbation step", "perturb", {}, MEMORY, "batch 2000"),
    both("bytes to floats", "normalise", {}, MEMORY, "60,000 x 784"),
    both("dense product", "dense", {"m": 2000}, ARITHMETIC, "2000 x 784 x 2000"),
    both("dense product", "dense_nt", {"m": 2000}, ARITHMETIC, "2000 x 784 x 2000, transposed"),
    both("dense product", "dense_tn", {}, ARITHMETIC, "gradient, 2000 x 10, batch 2000"),
    both("histogram, 100 bins", "histogram", {}, MEMORY, "10 M uniform values"),
    both("histogram, 100 bins", "histogram", {"relu": 1}, MEMORY, "10 M rectified values"),
    both("entropy per column", "entropy", {}, ARITHMETIC, "60,000 x 50"),
    both("entropy per column", "entropy", {"rows": 5000, "cols": 2000}, MEMORY, "5000 x 2000"),
    both("sparse product", "spmm", {"batch": 2000, "per_mille": 10}, MEMORY, "batch 2000, 1 %"),
    both("sparse product", "spmm", {"batch": 2000, "per_mille": 100}, ARITHMETIC, "batch 2000, 10 %"),
    both("sampled product", "sampled", {"batch": 2000}, ARITHMETIC, "batch 2000, 10 %"),
    both("receptive fields", "field", {"batch": 2000}, ARITHMETIC, "batch 2000"),
    both("self-replication step", "replicate", {"particles": 1_000_000}, MEMORY, "a million particles"),
    both("self-replication, 25 steps", "replicate", {"particles": 20_000, "steps": 25}, ARITHMETIC, "20,000 particles"),
    both("self-replication, 25 steps", "replicate", {"particles": 65_536, "steps": 25, "cell": 5}, ARITHMETIC, "65,536 particles 5-5-5-1"),
    both("organism's task step", "organism", {"batch": 8000}, ARITHMETIC, "batch 8000"),
    both("weights of genotypes", "decode", {"genotypes": 256}, MEMORY, "256 genotypes"),
    both("evaluation of genotypes", "evaluate", {"genotypes": 256, "digits": 1}, ARITHMETIC, "256 on 200 digits"),
    both("generation of evolution", "generation", {}, ARITHMETIC, "no gene fixed"),
    both("generation of evolution", "generation", {"fixed": 990}, ARITHMETIC, "99 % of genes fixed"),
]


def floor_milliseconds(floor, limits):
    """The least time for these operations and bytes, or None if nobody has counted them."""
    parts = []
    for name, amount in floor.items():
        if name == "either":
            parts.append(min(floor_milliseconds(part, limits) for part in amount))
        # In records from before reading was known to go on beside writing.
        elif name == "sum":
            parts.append(sum(value / limits[key] for key, value in amount.items()) * 1e3)
        else:
            parts.append(amount / limits[name] * 1e3)
    return max(parts, default=None)
