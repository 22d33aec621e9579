"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from statistics import mean, stdev

from benchmarks.methods.data import BALANCES
from benchmarks.methods.results import Row
from benchmarks.methods.summary import (
    LARGE,
    OURS,
    Count,
    Standing,
    by_set,
    comparable,
    counts,
    duels,
    standings,
)
from headlight.counts import counted

INTRODUCTION = """# Methods compared

The same features, the same seeds, one machine; `python -m benchmarks.methods` made this from
`methods.parquet`. Every method is told the true number of classes; where it finds its own, noise
counts as one more cluster. How each is set: the docstrings in `benchmarks/methods/entrants/`.
"""
SUMMARY = f"""## Summary

Means over data sets of means over seeds. *Plain*: every method on plain features. *Views*: methods
that learn from augmented views get those of at most 4,000 images, the others plain features.
*Worst*: the lowest, over sets, of ACC minus the better of k-means and UMAP + k-means on plain
features. *Spread*: the largest standard deviation over seeds. *Time*: fit ÷ UMAP + k-means in turn
in the same process, mean over sets above {LARGE:,} rows; *memory*: the most that resident memory
grows ÷ size of the features, there. Long-tailed: class sizes fall geometrically, 100 to 1.
"""
DUELS = """## Ours and the best peer on each data set

ACC, mean over seeds; plain against plain, views against views.
"""
CALIBRATION = """## Calibration

Expected calibration error of `predict_proba` on the images fitted on, 15 equal bins; a row is right
if its cluster is matched to its class. Mean over seeds.
"""
COUNTS = """## The number of clusters, not given

Estimate and range of `-k auto`; *near*: within 30 % of the true number.
"""
SPLITS = {"fit": "the images it was fitted on", "test": "images kept aside, plain view"}
FEATURES = {"none": "plain", "gentle": "views", "strong": "strong views"}


def table(rows: list[Row]) -> str:
    """Markdown: the summary, then a table for each data set, split and balance; best ACC first."""
    parts = [INTRODUCTION]
    parts += [f"Machine: {machine}\n" for machine in sorted({row["machine"] for row in rows})]
    parts += [_summary(rows), _duels(rows), _calibration(rows), _counts(counts(rows))]

    def group(row: Row) -> tuple[str, ...]:
        return row["data"], row["split"], row["balance"]

    for name, members in groupby(sorted(rows, key=group), group):
        parts.append(_section(name, list(members)))
    return "\n".join(part for part in parts if part)


def markdown(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    header = list(header)
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _summary(rows: list[Row]) -> str:
    figures = ("ACC", "NMI", "wins", "worst", "spread", "time", "memory")
    lines = []
    for balance in BALANCES:
        for views in ("none", "gentle"):
            for one in standings(rows, balance, views):
                lines.append([f"{balance}, {FEATURES[views]}", _name(one, views), *_figures(one)])
    return SUMMARY + "\n" + markdown(("sets, features", "method", *figures), lines)


def _name(one: Standing, views: str) -> str:
    name = f"**{one.method}**" if one.method == OURS else one.method
    return f"{name} (plain)" if one.views != views else name


def _figures(one: Standing) -> list[str]:
    return [
        f"{one.acc:.3f}",
        f"{one.nmi:.3f}",
        f"{one.wins} of {one.sets}",
        "" if one.worst is None else f"{one.worst[0]:+.3f} {one.worst[1]}",
        "" if one.spread is None else f"{one.spread[0]:.3f} {one.spread[1]}",
        "" if one.time is None else f"{one.time:.2f} ×",
        "" if one.memory is None else f"{one.memory:.2f} ×",
    ]


def _duels(rows: list[Row]) -> str:
    lines = [
        [
            f"{balance}, {FEATURES[views]}",
            one.data,
            f"{one.ours:.3f}",
            f"{one.theirs:.3f} {one.peer}",
            f"{one.ours - one.theirs:+.3f}",
        ]
        for balance in BALANCES
        for views in ("none", "gentle")
        for one in duels(rows, balance, views)
    ]
    header = ("sets, features", "data", OURS, "best peer", "difference")
    return DUELS + "\n" + markdown(header, lines) if lines else ""


def _calibration(rows: list[Row]) -> str:
    lines = []
    for balance in BALANCES:
        for views, name in FEATURES.items():
            wanted = (OURS, balance, views)
            its = [r for r in comparable(rows) if (r["method"], r["balance"], r["views"]) == wanted]
            if errors := by_set(its, "ece"):
                each = ", ".join(f"{data} {error:.3f}" for data, error in errors.items())
                lines.append([f"{balance}, {name}", f"**{mean(errors.values()):.3f}**", each])
    header = ("sets, features", "mean", "each")
    return CALIBRATION + "\n" + markdown(header, lines) if lines else ""


def _counts(found: list[Count]) -> str:
    if not found:
        return ""
    lines, totals = [], []
    for (balance, views), group in groupby(
        sorted(found, key=lambda one: (BALANCES.index(one.balance), one.views)),
        lambda one: (one.balance, one.views),
    ):
        here = list(group)
        features = f"{balance}, {FEATURES[views]}"
        lines += [
            [
                features,
                one.data,
                str(one.true),
                str(one.estimate),
                f"{one.low}–{one.high}",
                "yes" if one.within_range else "**no**",
                "yes" if one.near else "**no**",
                ", ".join(map(str, one.levels)),
                ", ".join(map(str, one.seeds)),
            ]
            for one in here
        ]
        sets = {one.data for one in here}
        out = {one.data for one in here if not one.within_range}
        far = {one.data for one in here if not one.near}
        totals.append(
            f"{features}: with every seed within the range on {len(sets - out)} of {len(sets)} "
            f"sets, near on {len(sets - far)}.\n"
        )
    header = ("sets, features", "data", "true", "estimate", "range", "within", "near", "levels")
    return "\n".join([COUNTS, *totals, markdown((*header, "seeds"), lines)])


def _section(name: tuple[str, ...], rows: list[Row]) -> str:
    data, split, balance = name
    measured = next((row for row in rows if row["error"] is None), None)
    size = f", {measured['n']:,} images, {measured['n_clusters']} classes" if measured else ""
    teams: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        teams.setdefault((row["method"], row["views"]), []).append(row)
    ordered = sorted(teams.items(), key=lambda item: (-_level(item[1]), item[0]))
    header = ("method", "features", "ACC", "NMI", "ARI", "ECE", "seconds", "MiB", "clusters")
    seeds = counted(len({row["seed"] for row in rows}), "seed")
    return (
        f"## {data}, {balance}: {SPLITS[split]}\n\n"
        f"{seeds}{size}; mean ± standard deviation.\n\n"
        + markdown(header, ([team[0], FEATURES[team[1]], *_cells(its)] for team, its in ordered))
    )


def _level(rows: list[Row]) -> float:
    good = [row["acc"] for row in rows if row["error"] is None]
    return mean(good) if good else -1.0


def _cells(rows: list[Row]) -> list[str]:
    good = [row for row in rows if row["error"] is None]
    failed = [row for row in rows if row["error"] is not None]
    if not good:
        return [f"failed: {_escaped(failed[0]['error'])}", *[""] * 6]
    clusters = f"{mean(row['found'] for row in good):.4g}"
    if any(row["noise"] for row in good):
        clusters += f", {100 * mean(row['noise'] for row in good):.0f} % noise"
    if failed:
        clusters += f"; {len(failed)} failed: {_escaped(failed[0]['error'])}"
    scores = [_spread(good, name, ".3f") for name in ("acc", "nmi", "ari", "ece")]
    return [*scores, _spread(good, "seconds", ".1f"), _spread(good, "memory_mib", ".0f"), clusters]


def _spread(rows: list[Row], name: str, form: str) -> str:
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return ""
    text = format(mean(values), form)
    return f"{text} ± {format(stdev(values), form)}" if len(values) > 1 else text


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:120]
