"""What one core can do, measured: multiply-adds, cycles, bytes a second from each level of memory."""
import statistics

from ours import Ours

MULTIPLY_ADDS = 100_000_000
# Name, operation, shape, amount.
KINDS = [
    ("multiply_adds", "multiply_adds", {"count": MULTIPLY_ADDS}, MULTIPLY_ADDS),
    ("cycles", "cycles", {"count": 100_000_000}, 1e8),
    ("L1", "read", {"bytes": 1 << 15, "times": 100}, 100 * (1 << 15)),
    ("L2", "read", {"bytes": 1 << 19, "times": 10}, 10 * (1 << 19)),
    ("L3", "read", {"bytes": 12_582_912}, 12_582_912),
    ("read", "read", {"bytes": 1 << 28}, 1 << 28),
    ("write", "write", {"bytes": 1 << 28}, 1 << 28),
]


def measure(binary, rounds, priority):
    """A second's worth of each: the best round, as a limit is what nothing exceeds."""
    found = {}
    for name, operation, shape, amount in KINDS:
        with Ours(binary, operation, shape, 1) as ours, priority(ours):
            found[name] = amount / (min(ours.round() for _ in range(rounds)) * 1e-3)
    return found
