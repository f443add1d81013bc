"""What a record says, as Markdown: the whole of it beside the figures, its summary in README.md."""
import json
import os
import statistics

import cores
import plots
from cores import BUSY
from record import ROOT
from rows import ROWS, floor_milliseconds

HEADS = {
    "peers": "\n| kernel | shape | threads | ours, ms | peers, ms | best peer / ours (quartiles) | at least | aim | of the floor | answers within |\n|---|---|---:|---:|---|---|---|---|---:|---:|",
    "threads": "\n| kernel | shape | one thread, ms | two threads, ms | gain (quartiles) | at least | aim |\n|---|---|---:|---:|---|---|---|",
}
LIMITS = {
    "multiply_adds": ("multiply-adds a second in f32", 1e9, "G"),
    "cycles": ("cycles a second", 1e9, "G"),
    "L1": ("bytes a second read from 32 KiB", 1e9, "G"),
    "L2": ("from 512 KiB", 1e9, "G"),
    "L3": ("from 12 MiB", 1e9, "G"),
    "read": ("from 256 MiB", 1e9, "G"),
    "write": ("written past the caches", 1e9, "G"),
}
README = ("<!-- peers: written by benches/peers/compare.py -->", "<!-- peers end -->")


# Of all peers.
ANY = {"least": 1}


def judged(row, bar=ANY):
    """The best peer, the median and the quartiles of the ratios of its times to ours, round by round, and whether the bar is met; None without such a peer."""
    return best_of(row, lambda name: covers(row, bar, name), bar["least"])


def covers(row, bar, name):
    """Whether a bar is for this peer."""
    kind = row["kinds"].get(name)
    return bar["against"] in (name, kind) if bar.get("against") else kind != "ours"


def asked(row, best):
    """The most that a bar asks for beside the best peer; None where none does."""
    return max((bar["least"] for bar in row["bars"] if covers(row, bar, best["peer"])), default=None)


def counted(row):
    """The row as it is counted now, which may be otherwise than when it was measured; None if it is measured no more."""
    return next((now for now in ROWS if (now.operation, now.shape, now.threads) == (row["operation"], row["shape"], row["threads"])), None)


def shown(row):
    """Whether the README has it."""
    now = counted(row)
    return now.summary if now else row["summary"]


def best_of(row, fits, least):
    """What both sides of a round share, the machine's mood, divides out: hence no ratio of medians."""
    times = row["times"]
    rounds = {name: [theirs / ours for theirs, ours in zip(seen, times["ours"])] for name, seen in times.items() if name != "ours" and fits(name)}
    if not rounds:
        return None
    best = min(rounds, key=lambda name: statistics.median(rounds[name]))
    low, ratio, high = statistics.quantiles(rounds[best], n=4, method="inclusive") if len(rounds[best]) > 1 else rounds[best] * 3
    return {"peer": best, "ratio": ratio, "low": low, "high": high, "met": ratio >= least}


def algebra(row):
    """The same beside a rewrite of ours with the peer's tools; None where there is none."""
    return best_of(row, lambda name: row["kinds"].get(name) == "ours", 1)


def of_floor(row, limits):
    """With as many cores as threads."""
    now = counted(row)
    floor = floor_milliseconds(now.floor if now else row["floor"], limits)
    return None if floor is None else floor / row["threads"] / statistics.median(row["times"]["ours"])


def aim(row, bar, limits, found):
    """What is aimed at and whether it is met, or None."""
    if bar.get("aim_floor"):
        return f"{bar['aim_floor']:.0%} of the floor", of_floor(row, limits) >= bar["aim_floor"]
    return (f"{bar['aim']:g}", found["ratio"] >= bar["aim"]) if bar.get("aim") else None


def marked(text, met):
    return f"{text} {'met' if met else 'not met'}"


def ratio(found):
    return f"{found['ratio']:.2f} ({found['low']:.2f}-{found['high']:.2f})"


def lines(table, row, limits):
    if "error" in row:
        yield f"| {row['kernel']} | {row['label']} | failed: {row['error']} |"
        return
    times = {name: statistics.median(seen) for name, seen in row["times"].items()}
    best = judged(row)
    # First that of the best peer, whatever the bars are for.
    ratios, least, aims = [f"{ratio(best)} {best['peer']}" if table == "peers" else ratio(best)] if best else ["no peer"], [], []
    for bar in row["bars"]:
        found = judged(row, bar)
        if found is None:
            ratios.append(f"{bar['against']}: no peer")
            continue
        named = f"{bar['against']}: " if bar.get("against") else ""
        if named and found["peer"] != best["peer"]:
            ratios.append(named + ratio(found))
        if bar["least"]:
            cell = named + marked(f"{bar['least']:g}", found["met"])
            least.append(cell if found["met"] else f"**{cell}**")
        aimed = aim(row, bar, limits, found)
        aims.append(named + marked(*aimed) if aimed else "")
    ratios, least, aims = ("; ".join(filter(None, cells)) for cells in (ratios, least, aims))
    if table == "threads":
        yield f"| {row['kernel']} | {row['label']} | {times['one thread']:.3g} | {times['ours']:.3g} | {ratios} | {least} | {aims} |"
        return
    peers = ", ".join([f"{name} {median:.3g}" for name, median in times.items() if name != "ours"] + [f"{name}: none ({why})" for name, why in row["missing"].items()])
    floor = of_floor(row, limits)
    floor = "" if floor is None else f"{floor:.0%}"
    distance = f"{row['distance']:.0e}" if row["distance"] is not None else "-"
    yield f"| {row['kernel']} | {row['label']} | {row['threads']} | {times['ours']:.3g} | {peers} | {ratios} | {least} | {aims} | {floor} | {distance} |"


def header(found):
    libraries = ", ".join(f"{name} {version or '(none)'}" for name, version in found["libraries"].items())
    priority = "at real-time priority" if found["priority"] else "at normal priority"
    busy = f"load average {' and '.join(f'{load:.1f}' for load in found['load'])} before and after" if len(found.get("load", [])) == 2 else ""
    priority = ", ".join(filter(None, (priority, busy)))
    held = found.get("held_to")
    sets = f"Both sides are held to {held}, though the CPU has more." if held else "OpenBLAS takes the kernels of the CPU's instruction set."
    limits = "\n".join(f"| {name} | {found['limits'][key] / unit:.0f} {prefix} |" for key, (name, unit, prefix) in LIMITS.items())
    # Records from before were of peers on two threads, for less time, and nobody looked at their answers.
    generations = """,
on one thread or two, whichever is faster: their losses are compared with ours, and a small generation of ours with the `f64` reference's""" if found.get("generations_compared") else ""
    # Records from before are of one pass.
    passes = found.get("passes", 1)
    rounds = f"{found['rounds']} alternating rounds (three for whole generations, epochs, organisms)"
    rounds = f"{passes} passes of {rounds}" if passes > 1 else rounds
    built = f", of commit {found['commit']}" if found.get("commit") else ""
    return f"""# {found['cpu']}, {found['cores']} cores, {found['isa']}, {found['date']}{built}

`benches/peers/compare.py`: milliseconds, medians of {rounds}, {priority}. Ratios are medians over the rounds, in each of
which ours and the peers take turns.
{libraries}. {sets} Both sides have the same inputs, and their answers are compared before they are
timed: "answers within" is the largest difference as a part of the largest value (of the largest change, for updates); where both draw their own
random numbers (-) ours are judged by themselves. "Of the floor" is the least time that the counted operations and bytes can take on one core with
the limits below, over ours. "torch, our algebra" is shown, not counted as a peer; a generation of the peers is 8 genotypes on 200 digits, scaled{generations}.

| limit of one core, measured in this run | |
|---|---:|
{limits}"""


def tally(found):
    """How many bars there are, how many are met, and those that are not; the same of the aims."""
    met, missed, aims_met, aims = 0, [], 0, 0
    for table in HEADS:
        for row in found[table]:
            for bar in row["bars"]:
                one = None if "error" in row else judged(row, bar)
                name = f"{row['kernel']}, {row['label']}" + (", two threads" if table == "threads" else "") + (f", beside {bar['against']}" if bar.get("against") else "")
                if one is None:
                    missed.append(f"{name}: not measured")
                    continue
                met += one["met"]
                if not one["met"]:
                    missed.append(f"{name}: {one['ratio']:.2f} for {bar['least']:g}")
                aimed = aim(row, bar, found["limits"], one)
                aims, aims_met = aims + (aimed is not None), aims_met + (aimed is not None and aimed[1])
    return met, missed, aims_met, aims


def verdict(found):
    if found.get("held_to"):
        beside = [one for row in found["peers"] if "error" not in row and (one := judged(row))]
        text, missed = f"\nOurs is as fast as the best peer, or faster, in {sum(one['met'] for one in beside)} of {len(beside)} rows.", []
    else:
        met, missed, aims_met, aims = tally(found)
        text = f"\n{met} of {met + len(missed)} bars are met, and {aims_met} of {aims} aims."
    repeated = [row["repeated"] for table in HEADS for row in found[table] if "repeated" in row]
    # Records from before there were such looks at the machine say nothing of them.
    if repeated:
        gained = ", ".join(f"{least:g} ({bound})" for bound, (_, _, least) in cores.PAIRS.items())
        text += f"""
A measurement counts if the machine gave whole cores before and after it (`cores.py`): {cores.WHOLE:.0%} of the limit of multiply-adds, and of two cores
a gain of two such processes of {gained}. {sum(repeated)} were repeated for want of that."""
    failed = [f"{row['kernel']}, {row['label']}: {why}" for table in HEADS for row in found[table] for why in row.get("failed", [])]
    return text + "".join(f"\n- Not met: {miss}" for miss in missed) + "".join(f"\n- A pass failed: {one}" for one in failed)


def summary(found, plot):
    """The rows of the README, one a kernel: several shapes in one line."""
    kernels = {}
    for row in found["peers"]:
        if shown(row) and "error" not in row:
            kernels.setdefault(row["kernel"], []).append((row, judged(row)))
    table = []
    for kernel, shapes in kernels.items():
        shapes = [(row, one) for row, one in shapes if one]
        if not shapes:
            continue
        peers = ", ".join(dict.fromkeys(one["peer"] for _, one in shapes))
        labels = common([row["label"] for row, _ in shapes])
        beside = [one for row, _ in shapes if (one := algebra(row))]
        beside = f" ({' / '.join(short(one['ratio']) for one in beside)} x {beside[0]['peer']})" if beside else ""
        table.append(f"| {kernel}, {labels} | {peers} | {' / '.join(short(one['ratio']) for _, one in shapes)} x{beside} |")
    path = os.path.relpath(plot, ROOT)
    where = os.path.relpath(plot.removesuffix(".svg") + ".md", ROOT)
    return f"""{README[0]}
Measured on {found['date']} on one thread (evolution and epochs: two) of an {found['cpu']} with {found['isa']}, against the best peer in the same run ([record]({where})).
"torch, our algebra" is a rewrite of ours in torch, shown beside the peers and not counted as one:

![How many times faster than the best peer each kernel is]({path})

| | best peer | ours is faster |
|---|---|---:|
{chr(10).join(table)}

{slower(found)}
{README[1]}"""


def slower(found):
    """Where a peer is faster, said beside what the summary shows."""
    beside = [(row, one) for row in found["peers"] if "error" not in row and (one := judged(row))]
    told = lambda rows: "; ".join(f"{row['kernel']}, {row['label']}: {one['ratio']:.2f}" for row, one in rows)
    lost = [(row, one) for row, one in beside if one["high"] < 1]
    even = [(row, one) for row, one in beside if not one["met"] and one["high"] >= 1]
    text = f"Of the record's {len(beside)} rows the best peer is faster in {len(lost)}" + (f" ({told(lost)})" if lost else "")
    text += f", and as fast, within the quartiles, where ours is not ahead, in {len(even)} ({told(even)})." if even else "."
    met, missed, _, _ = tally(found)
    return f"{text} Of the {met + len(missed)} bars that rows of peers and of two threads have to reach (`benches/peers/rows.py`) {len(missed)} are missed; the record names them."


def short(value):
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1.95 else f"{value:.2f}"


def common(labels):
    """ "784 x 2000, batch 1 / 16 / 64" for labels that begin alike."""
    start = os.path.commonprefix(labels) if len(labels) > 1 else labels[0]
    start = start if len(labels) == 1 else start[: start.rfind(" ") + 1]
    return start if len(labels) == 1 else start + " / ".join(label.removeprefix(start) for label in labels)


def lacking(found):
    """What went wrong: rows and peers that are not there, passes that failed. A pass that found the machine busy is told of, and takes nothing from the others."""
    rows = [row for table in HEADS for row in found[table]]
    for row in rows:
        whys = [row["error"]] if "error" in row else []
        whys += [f"{name}: {why}" for name, why in row.get("missing", {}).items()]
        whys += [why for why in row.get("failed", []) if BUSY not in why]
        yield from (f"{row['kernel']}, {row['label']}: {why}" for why in whys)


def write(path):
    """The report and the plot of a record, and the README's summary if it shows all that the CPU has, and nothing is lacking."""
    with open(path) as file:
        found = json.load(file)
    base = path.removesuffix(".json")
    scaling = f"{base}-scaling.svg"
    text = [header(found)]
    for table, head in HEADS.items():
        text += [head, *(line for row in found[table] for line in lines(table, row, found["limits"]))]
    text += [verdict(found), f"\n![Ours beside the best peer]({os.path.basename(base)}.svg)"]
    if os.path.exists(scaling):
        text.append(f"\nHow the time of each kernel grows with its work (`compare.py --scaling`):\n\n![Time against work]({os.path.basename(scaling)})")
    with open(f"{base}.md", "w") as file:
        file.write("\n".join(text) + "\n")
    # Where both sides are held to less than the CPU has, no more than the peer's speed is asked for.
    beside = [(row, one, 1 if found.get("held_to") else asked(row, one)) for row in found["peers"] if shown(row) and "error" not in row and (one := judged(row))]
    plots.ratios(beside[::-1], found, f"{base}.svg")
    if lacks := list(lacking(found)):
        return print("\n".join(["README.md is left as it was:", *(f"- {why}" for why in lacks)]))
    with open(os.path.join(ROOT, "README.md")) as file:
        readme = file.read()
    if README[0] in readme and not found.get("held_to"):
        before, rest = readme.split(README[0])
        after = rest.split(README[1])[1]
        with open(os.path.join(ROOT, "README.md"), "w") as file:
            file.write(before + summary(found, f"{base}.svg") + after)
    return None
