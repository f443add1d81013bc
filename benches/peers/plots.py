"""The pictures of a record, as SVG."""
import os
import re


def _axes(*arguments, **settings):
    import matplotlib

    matplotlib.use("svg")
    # Text as text, and the same identifiers every time: small files that differ only where the figures do.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "neuropil", "font.size": 8, "font.family": "sans-serif"}
    import matplotlib.pyplot

    return matplotlib.pyplot.subplots(*arguments, **settings)


def _save(figure, path):
    figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    with open(path) as file:
        text = file.read()
    # A third of the size is comments, spaces, and decimals nobody sees.
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"(\.\d)\d+", r"\1", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    with open(path, "w") as file:
        file.write(text)
    print(f"{path}: {os.path.getsize(path) / 1024:.0f} KiB")


def _plain(axis):
    import matplotlib.ticker

    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


def ratios(rows, found, path):
    """Rows, what was found of the best peer's time over ours, and the least that is asked for or None: bars on a logarithmic axis, the least marked."""
    try:
        if not rows:
            return print("no plot: no peer was there")
        figure, axes = _axes(figsize=(7.2, 0.19 * len(rows) + 0.7))
    except ImportError:
        return print("no plot: matplotlib is not installed")
    places = range(len(rows))
    for place, (_, one, least) in zip(places, rows):
        axes.barh(place, one["ratio"] - 1, left=1, height=0.62, color="#3b7dbd" if one["ratio"] >= (least or 1) else "#d08c3a")
        axes.plot([one["low"], one["high"]], [place, place], color="black", linewidth=0.8)
        if least:
            axes.plot([least] * 2, [place - 0.42, place + 0.42], color="#b02020", linewidth=1.6)
        axes.text(max(one["ratio"], one["high"], least or 1) * 1.06, place, f"{one['ratio']:.3g}", va="center", fontsize=7)
    axes.set_yticks(list(places), [f"{row['kernel']}, {row['label']}" for row, *_ in rows])
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(0.8, max(one["ratio"] for _, one, _ in rows) * 1.7)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(f"times as fast as the best peer ({found['cpu']}, {found['isa']}, {found['date']}); black: quartiles; red: the least that is asked for")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _save(figure, path)


def scaling(found, path):
    """A panel a kernel: milliseconds against work as a multiple of the default shape's; broken lines are two threads."""
    panels = found["kernels"]
    columns = 4
    try:
        figure, grid = _axes(-(-len(panels) // columns), columns, figsize=(11, 2.15 * -(-len(panels) // columns)), squeeze=False)
    except ImportError:
        return print("no plot: matplotlib is not installed")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels):
        for colour, sweep in zip(("#3b7dbd", "#d08c3a", "#4a9d5b", "#8a5bb0"), panel["sweeps"]):
            for threads, style in (("1", "-"), ("2", "--")):
                if threads in sweep["milliseconds"]:
                    times = sweep["milliseconds"][threads]
                    label = f"{sweep['key']} ({sweep['values'][0]:g}-{sweep['values'][-1]:g})" if threads == "1" else None
                    factors = [value / sweep["default"] for value in sweep["values"]]
                    axes.plot(factors, times, style, color=colour, marker=".", markersize=3, linewidth=1, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain(axes.xaxis)
        _plain(axes.yaxis)
        axes.set_title(panel["title"], fontsize=7)
        axes.legend(fontsize=6, frameon=False, loc="upper left")
        axes.grid(linewidth=0.3)
    figure.supxlabel(f"size as a multiple of the shape in the title ({found['cpu']}, {found['isa']}, {found['date']}; broken: two threads)", fontsize=8)
    figure.supylabel("milliseconds", fontsize=8)
    figure.tight_layout()
    return _save(figure, path)
