"""The results as a picture: quality against the time of the fit."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from benchmarks.methods.results import Row
from benchmarks.methods.table import summarise

MARKS = "osD^vP<>XhpH*d"


def plot(rows: list[Row], out: Path) -> list[Path]:
    """Draws ACC and NMI against fit seconds, a row of panels for each data set and balance.

    Only what methods give the images they were fitted on. One view is hollow, several are filled.

    Arguments:
        rows: of results.
        out: file name without ending.

    Returns:
        The files written: PNG and SVG.

    Raises:
        ModuleNotFoundError: matplotlib is missing.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "headlight"  # equal results, equal files
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    good = [row for row in rows if row["error"] is None and row["split"] == "fit"]
    panels = sorted({(row["data"], row["balance"]) for row in good}, key=lambda p: (p[1], p[0]))
    if not panels:
        return []
    methods = sorted({row["method"] for row in good})
    pairs = pyplot.get_cmap("tab20").colors  # each dark, then pale
    colours = (*pairs[::2], *pairs[1::2])
    figure, axes = pyplot.subplots(
        len(panels), 2, figsize=(11, 3.4 * len(panels)), squeeze=False, layout="constrained"
    )
    for (data, balance), pair in zip(panels, axes, strict=True):
        here = [row for row in good if (row["data"], row["balance"]) == (data, balance)]
        for axis, metric in zip(pair, ("acc", "nmi"), strict=True):
            for views in ("one", "several"):
                for of_it in summarise([r for r in here if r["views"] == views]).values():
                    method = of_it[0]["method"]
                    at = methods.index(method)
                    colour = colours[at % len(colours)]
                    axis.errorbar(
                        mean(row["seconds"] for row in of_it),
                        middle := mean(row[metric] for row in of_it),
                        yerr=[
                            [middle - min(row[metric] for row in of_it)],
                            [max(row[metric] for row in of_it) - middle],
                        ],
                        marker=MARKS[at % len(MARKS)],
                        color=colour,
                        markerfacecolor=colour if views == "several" else "white",
                        markersize=9 if method.startswith("headlight") else 6,
                        linestyle="none",
                        label=method,
                    )
            axis.set(xscale="log", xlabel="fit, seconds", ylabel=metric.upper())
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_title(f"{data}, {balance}", fontsize=10)
            axis.grid(alpha=0.3)
    handles, labels = [], []
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.supxlabel("hollow: one view; filled: several; bars: lowest to highest seed", fontsize=8)
    files = [out.with_suffix(".png"), out.with_suffix(".svg")]
    for file in files:
        extra = {"metadata": {"Date": None}} if file.suffix == ".svg" else {"dpi": 110}
        figure.savefig(file, **extra)
    pyplot.close(figure)
    return files
