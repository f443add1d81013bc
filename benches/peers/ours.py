"""Our half: the bench `side_by_side` as a process that times one call whenever it is asked to."""
import glob
import os
import subprocess
import sys


class Failed(Exception):
    """What our process said, or that it said nothing."""


class Ours:
    def __init__(self, binary, operation, shape, threads, directory=None):
        self.process = subprocess.Popen([binary, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = ["prepare", operation, f"threads={threads}", *(f"{key}={value}" for key, value in shape.items())]
        self.isa = self.ask(" ".join(words + ([f"from={directory}"] if directory else []))).split()[1]

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise Failed(f"{line}: {answer or 'no answer'}")
        return answer

    def round(self):
        """Milliseconds a call, the mean of some 20 ms."""
        return float(self.ask("round"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def find_binary():
    found = sorted(glob.glob(os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release", "deps", "side_by_side-*")), key=os.path.getmtime)
    found = [path for path in found if os.access(path, os.X_OK) and not path.endswith(".d")]
    return found[-1] if found else sys.exit("build first: cargo build --release --bench side_by_side")
