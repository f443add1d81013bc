"""Times ours and what a user would pick instead, alternating in one run, and writes the record of it.

  cargo build --release --bench side_by_side
  python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/peers/requirements.txt
  /tmp/peers/bin/python benches/peers/compare.py              # everything: some twenty-five minutes
  /tmp/peers/bin/python benches/peers/compare.py oja spmm     # some operations, printed only
  /tmp/peers/bin/python benches/peers/compare.py --quick      # few rounds, printed only
  /tmp/peers/bin/python benches/peers/compare.py --scaling    # how the time of each kernel grows

Every row beside peers: answers compared, or ours judged; then rounds of (ours, peer, peer ...), each some 20 ms of calls (half a second for
peers whose time is multiplied); medians, and the median over the rounds of the best peer's time over ours. All rows are gone through several times (`--passes`), minutes apart and
in new processes, and the rounds put together: neighbours on a shared machine, and where memory happens to lie, then spoil a part of each row rather than all of one. OpenBLAS is told to use AVX-512 where the CPU has it: NumPy's own choice, or an exported one, may not.
A full run writes benches/record/CPU/DATE.json (DATE-2.json where there is one of the day already), .md and .svg, and the summary in README.md. Answers that differ, and peers that cannot be
imported, make it fail in the end, and README.md is left as it was. Needs a quiet machine; `--priority` helps.
With NEUROPIL_SIMD=avx2 on a CPU that has more, the peers are held to AVX2 as well, and the record is DATE-avx2.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys

import limits
import priority
import record
import report
import rows
import scaling
from ours import Ours, find_binary

TABLES = {"peers": rows.ROWS, "threads": rows.TWO_THREADS}


# What holds each library to AVX2. OpenBLAS and numba name CPUs: the last of the vendor's that had no more.
ZEN = "AuthenticAMD" in record.CPUINFO
AVX2 = {
    "OPENBLAS_CORETYPE": "ZEN" if ZEN else "HASWELL",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "NUMBA_CPU_NAME": "znver3" if ZEN else "haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def environment(threads):
    """What the libraries of a row's process are told. They read it once, when they load."""
    own = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    own["OPENBLAS_CORETYPE"] = "SKYLAKEX" if record.has("avx512f") else AVX2["OPENBLAS_CORETYPE"]
    own["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
    if record.held_to():
        own["XLA_FLAGS"] += " --xla_cpu_max_isa=AVX2"
        own |= AVX2
    return {name: value for name, value in os.environ.items() if name != "OPENBLAS_L2_SIZE"} | own


def measured(given, binary, table, index, limit):
    """The row of a table, by a process of its own; what goes wrong there is reported and stops nothing."""
    row = TABLES[table][index]
    rounds = min(given.rounds, 3) if row.slow else given.rounds
    command = [sys.executable, __file__, "--row", table, str(index), str(limit), "--rounds", str(rounds), "--binary", binary]
    done = subprocess.run(command + ["--priority"] * given.priority, env=environment(row.threads), capture_output=True, text=True)
    about = {"kernel": row.kernel, "operation": row.operation, "shape": row.shape, "label": row.label, "threads": row.threads, "summary": row.summary}
    # The bars are for all that a CPU has.
    about["bars"] = [] if record.held_to() else [vars(bar) for bar in row.bars]
    try:
        if done.returncode == 0:
            return about | {"floor": row.floor} | json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        pass
    return about | {"error": (done.stderr.strip().splitlines() or [f"no answer, exit code {done.returncode}"])[-1]}


def together(row, again):
    """The rounds of two passes over a row. One that failed takes nothing from the other, but is told of."""
    if "error" in again:
        return row | {"failed": row.get("failed", []) + [again["error"]]}
    if "error" in row:
        return again | {"failed": row.get("failed", []) + [row["error"]]}
    return row | {
        # A peer that one pass went without has no place in the other.
        "times": {name: seen + again["times"][name] for name, seen in row["times"].items() if name in again["times"]},
        "missing": row["missing"] | again["missing"],
        "distance": max((one["distance"] for one in (row, again) if one["distance"] is not None), default=None),
        "repeated": row["repeated"] + again["repeated"],
    }


def one_row(given):
    import measure

    table, index, limit = given.row[0], int(given.row[1]), float(given.row[2])
    run = measure.one_row if table == "peers" else measure.two_threads
    print(json.dumps(run(given.binary, TABLES[table][index], given.rounds, priority.real_time if given.priority else priority.normal, limit)))


def against(binary, other, operation, shape, threads, rounds):
    """Two builds of ours, in fresh processes each time: where memory lands differs from process to process."""
    seen = [[], []]
    for launch in range(rounds):
        with Ours(binary, operation, shape, threads) as this, Ours(other, operation, shape, threads) as that:
            for _ in range(1 if operation == "epoch" else 5):
                for at in (0, 1) if launch % 2 else (1, 0):
                    seen[at].append((this, that)[at].round())
    this, that = (statistics.median(times) for times in seen)
    shape = ", ".join(f"{key} {value}" for key, value in shape.items()) or "default"
    print(f"| {operation} | {shape} | {threads} | {this:.3g} | {that:.3g} | {this / that:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations", nargs="*", help="only these operations; nothing is written")
    parser.add_argument("--rounds", type=int, default=5, help="of a row in each pass (default: 5)")
    parser.add_argument("--passes", type=int, default=3, help="over all rows (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one pass of three rounds a row; nothing is written")
    parser.add_argument("--priority", action="store_true", help="real-time priority for what is being timed, where the system allows it")
    parser.add_argument("--scaling", action="store_true", help="time against work and threads, instead of the peers")
    parser.add_argument("--report", metavar="JSON", help="write the report of a record again; nothing is measured")
    parser.add_argument("--binary", help="the side_by_side bench (default: the newest build)")
    parser.add_argument("--against", metavar="BINARY", help="compare with another build of the bench instead of with peers")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report:
        return report.write(given.report)
    given.binary = given.binary or find_binary()
    if given.row:
        return one_row(given)
    if given.quick:
        given.rounds, given.passes = 3, 1
    known = sorted({row.operation for table in ([scaling.KERNELS] if given.scaling else TABLES.values()) for row in table})
    if unknown := set(given.operations) - set(known):
        parser.error(f"no row measures {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    wanted = lambda row: not given.operations or row.operation in given.operations
    if given.against:
        print("| operation | shape | threads | this build | the other | this / other |\n|---|---|---|---|---|---|", flush=True)
        for row in filter(wanted, rows.ROWS):
            against(given.binary, given.against, row.operation, row.shape, row.threads, given.rounds)
        return None
    order = priority.real_time if given.priority else priority.normal
    if given.scaling:
        return scaling.run(given.binary, wanted, given.quick, order)
    found = {"date": datetime.date.today().isoformat(), **record.machine(given.binary), "held_to": record.held_to(), "priority": given.priority, "generations_compared": True, "rounds": given.rounds, "passes": given.passes, "load": [os.getloadavg()[0]]}
    found["limits"] = limits.measure(given.binary, given.rounds, order)
    found |= {"peers": [], "threads": []}
    print(report.header(found), flush=True)
    for number in range(given.passes):
        print(f"\nPass {number + 1} of {given.passes}: the rounds so far.", flush=True)
        for table in TABLES:
            print(report.HEADS[table], flush=True)
            indices = [index for index, row in enumerate(TABLES[table]) if wanted(row)]
            before, found[table] = found[table] or [None] * len(indices), []
            for index, row in zip(indices, before):
                again = measured(given, given.binary, table, index, found["limits"]["multiply_adds"])
                found[table].append(together(row, again) if row else again)
                print("\n".join(report.lines(table, found[table][-1], found["limits"])), flush=True)
    found["load"].append(os.getloadavg()[0])
    # First of all: what was measured stays, whatever its report comes upon.
    path = None if given.quick or given.operations else record.save(found)
    print(report.verdict(found))
    if path:
        report.write(path)
    # What a script that waits for this is to see: an answer that differs is no row that is missing.
    return finish(report.lacking(found))


def finish(lacks):
    """The exit code: 1 if anything went wrong, which was printed as it did."""
    lacks = list(lacks)
    if lacks:
        print("\n".join(["\nFailed:", *(f"- {why}" for why in lacks)]), file=sys.stderr)
    return 1 if lacks else 0


if __name__ == "__main__":
    sys.exit(main())
