"""Whether the machine has whole cores to give at this moment.

What a shared machine calls two cores may be the two threads of one, and the one that a row runs on may be shared with a neighbour, for seconds at
a time. Processes that share nothing with what is timed tell: one of multiply-adds in registers, which must run at the speed that was measured as the limit;
two of them, or of reading 64 MiB where memory binds, which must gain by each other. A measurement counts if it was so before and after.
"""
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from limits import MULTIPLY_ADDS
from ours import Failed, Ours

# Operation, shape, and the gain by the second process that counts as two cores.
PAIRS = {
    "arithmetic": ("multiply_adds", {"count": MULTIPLY_ADDS}, 1.9),
    "memory": ("read", {"bytes": 1 << 26}, 1.5),
}
# Of the limit of one core.
WHOLE = 0.95
# Rest after each measurement, of the time it took: Linux stops real-time work that has had 95 % of a second for what is left of it, and
# what is being timed then takes 50 ms longer.
REST = 0.15
# Seconds to wait for whole cores before a row is given up.
PATIENCE = 60
# What is said then.
BUSY = "no whole core"


class Cores:
    def __init__(self, binary, threads, bound, limit):
        operation, shape, self.least = PAIRS[bound if threads > 1 else "arithmetic"]
        self.probes = [Ours(binary, operation, shape, 1) for _ in range(threads)]
        self.limit, self.looked, self.repeated = limit, False, 0

    def hold(self, *processes):
        """Rows of one thread stay where the probe is, on systems that can be told so."""
        if len(self.probes) == 1 and hasattr(os, "sched_setaffinity"):
            for pid in (0, self.probes[0].process.pid, *(one.process.pid for one in processes)):
                os.sched_setaffinity(pid, {max(os.sched_getaffinity(0))})

    def whole(self):
        if len(self.probes) == 1:
            return MULTIPLY_ADDS / (self.probes[0].round() * 1e-3) >= WHOLE * self.limit
        alone = self.probes[0].round()
        with ThreadPoolExecutor(len(self.probes)) as pool:
            together = list(pool.map(Ours.round, self.probes))
        return 2 * alone / statistics.mean(together) >= self.least

    def measured(self, call):
        """What `call` returns, as often as it takes to have whole cores before and after."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not self.looked and not self.whole():
                time.sleep(0.05)
                continue
            began = time.monotonic()
            result = call()
            self.looked = self.whole()
            time.sleep(REST * (time.monotonic() - began))
            if self.looked:
                return result
            self.repeated += 1
        raise Failed(f"{BUSY}{'s' if len(self.probes) > 1 else ''} within {PATIENCE} s")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for probe in self.probes:
            probe.__exit__()
