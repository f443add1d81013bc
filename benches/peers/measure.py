"""One row: answers compared, then ours and the peers timed by turns. In a process of its own, whose libraries know their threads."""
import os
import shutil
import tempfile
import time
import warnings

import numpy as np

import cases
from cores import Cores
from ours import Failed, Ours

warnings.filterwarnings("ignore", "Sparse")  # torch calls its CSR tensors a beta and unchecked


def mean_milliseconds(call, least):
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < least:
        call()
        calls += 1
    return (time.perf_counter() - start) * 1e3 / calls


def compare(case, name, answer, ours):
    """How far a peer's answer is from ours, as a part of the largest value or change; an error if too far."""
    answer = np.asarray(answer, np.float64).ravel()
    start = 0 if case.start is None else case.start.astype(np.float64).ravel()
    if answer.shape != ours.shape:
        raise Failed(f"{name} has {answer.size} values, ours {ours.size}")
    distance = np.abs(answer - ours).max() / np.abs(answer - start).max()
    if not distance <= case.tolerance:
        raise Failed(f"ours is {distance:.1e} from {name}, more than {case.tolerance:.0e}")
    return distance


def one_row(binary, row, rounds, priority, limit):
    try:
        import torch

        torch.set_num_threads(row.threads)
        torch.set_grad_enabled(False)
    except ImportError:
        pass
    case = cases.find(row.operation)(row.shape, row.threads)
    directory = tempfile.mkdtemp()
    try:
        for name, values in case.inputs.items():
            np.ascontiguousarray(values).tofile(os.path.join(directory, name))
        return timed_row(binary, row, case, directory if case.inputs else None, rounds, priority, limit)
    finally:
        shutil.rmtree(directory)


def answer_of(binary, operation, shape, threads, directory):
    with Ours(binary, operation, shape, threads, directory) as ours, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "answer")
        ours.ask(f"answer {path}")
        return np.fromfile(path, np.float32)


def timed_row(binary, row, case, directory, rounds, priority, limit):
    result = {"missing": {}, "distance": None}
    own, like = (row.operation, row.shape | case.check), case.like
    answer = answer_of(binary, *own, row.threads, directory) if case.judge or (case.compared and not like) else None
    if case.judge and (wrong := case.judge(answer)):
        raise Failed(wrong)
    if case.compared and like:
        answer = answer_of(binary, *like, row.threads, directory)
    calls = {}
    for peer in case.peers:
        try:
            call = peer.make()
            first = call()
        except Exception as error:  # Whatever a missing or unfit library does: the row goes on without it.
            result["missing"][peer.name] = f"{type(error).__name__}: {error}"[:200]
            continue
        if case.compared:
            result["distance"] = max(result["distance"] or 0.0, float(compare(case, peer.name, peer.view(first), answer.astype(np.float64))))
        calls[peer.name] = call
    seen = {"ours": [], **{name: [] for name in calls}}

    def theirs(call):
        times = []
        for threads in range(1, row.threads + 1) if case.fewer_threads else ():
            cases.use_threads(threads)
            # Threads are made and caches filled before a time counts that is multiplied.
            call()
            times.append(mean_milliseconds(call, case.least))
        milliseconds = min(times or [mean_milliseconds(call, case.least)]) * case.share
        if row.threads > 1:
            # The threads of most libraries turn in circles for a while before they sleep.
            time.sleep(0.1)
        return milliseconds

    with Ours(binary, row.operation, row.shape, row.threads, directory) as ours, Cores(binary, row.threads, row.bound, limit) as cores:
        cores.hold(ours)
        with priority(ours, *cores.probes):
            for _ in range(rounds):
                seen["ours"].append(cores.measured(ours.round))
                for name, call in calls.items():
                    seen[name].append(cores.measured(lambda: theirs(call)))
    return result | {"times": rounded(seen), "kinds": {peer.name: peer.kind for peer in case.peers}, "repeated": cores.repeated}


def two_threads(binary, row, rounds, priority, limit):
    times = {"ours": [], "one thread": []}
    with Ours(binary, row.operation, row.shape, 1) as one, Ours(binary, row.operation, row.shape, 2) as two, Cores(binary, 2, row.bound, limit) as cores:
        with priority(one, two, *cores.probes):
            for _ in range(rounds):
                times["one thread"].append(cores.measured(one.round))
                times["ours"].append(cores.measured(two.round))
    return {"missing": {}, "distance": None, "times": rounded(times), "kinds": {}, "repeated": cores.repeated}


def rounded(times):
    return {name: [float(f"{value:.4g}") for value in seen] for name, seen in times.items()}
