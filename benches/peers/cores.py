"""Whether the machine has two cores to give at this moment.

What a shared machine calls two cores may be the two threads of one, for seconds at a time: then nothing gains by a second thread. Two processes
that share nothing tell: of multiply-adds in registers, or of reading 64 MiB each, for rows that memory binds.
"""
import statistics
import threading
import time

from ours import Failed, Ours

# Operation, shape, and the gain by the second process that counts as two cores.
KINDS = {
    "arithmetic": ("multiply_adds", {"count": 100_000_000}, 1.9),
    "memory": ("read", {"bytes": 1 << 26}, 1.5),
}
# Looks at the machine, for each round wanted, before a row is given up.
PATIENCE = 60


class Cores:
    def __init__(self, binary, kind):
        operation, shape, self.least = KINDS[kind]
        self.pair = [Ours(binary, operation, shape, 1) for _ in range(2)]

    def gain(self):
        """How much more two of them do than one, side by side."""
        alone = self.pair[0].round()
        together = [0.0, 0.0]

        def one(index):
            together[index] = self.pair[index].round()

        threads = [threading.Thread(target=one, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 2 * alone / statistics.mean(together)

    def rounds(self, count, measure):
        """Calls `measure` until `count` rounds had two cores before and after; what these gained, and how many rounds had not."""
        gains, results, without = [], [], 0
        before = self.gain()
        for _ in range(PATIENCE * count):
            if len(results) == count:
                return results, {"gain": [float(f"{gain:.3g}") for gain in gains], "without": without}
            if before < self.least:
                time.sleep(0.1)
                before = self.gain()
                continue
            result, after = measure(), self.gain()
            if after >= self.least:
                results.append(result)
                gains.append(min(before, after))
            else:
                without += 1
            before = after
        raise Failed(f"two processes gained {self.least} in {len(results)} of {count} rounds")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.pair:
            one.__exit__()
