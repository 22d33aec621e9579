"""The results as Markdown."""

from __future__ import annotations

from itertools import groupby
from statistics import mean, stdev

from benchmarks.methods.results import Row

INTRODUCTION = """# Methods compared

The same features, the same seeds, one machine; `python -m benchmarks.methods` made this from
`methods.parquet`. Mean ± standard deviation over seeds. Time is that of the fit, projection
included, imports and compilation not; memory is what the resident set grew by. Every method is told
the true number of classes; where it finds its own, the number is given, and noise counts as one
more cluster. How each is set: the docstrings in `benchmarks/methods/entrants/`.
"""
SPLITS = {"fit": "the images it was fitted on", "test": "images kept aside, plain view"}


def table(rows: list[Row]) -> str:
    """Markdown: a table for each data set, split and balance; best ACC first."""
    parts = [INTRODUCTION]
    machines = sorted({row["machine"] for row in rows})
    parts += [f"Machine: {machine}\n" for machine in machines]

    def group(row: Row) -> tuple[str, ...]:
        return row["data"], row["split"], row["balance"]

    for name, members in groupby(sorted(rows, key=group), group):
        parts.append(_section(name, list(members)))
    return "\n".join(parts)


def summarise(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each method and kind of views, best mean ACC first; those that failed last."""
    methods: dict[str, list[Row]] = {}
    for row in rows:
        views = ", several views" if row["views"] == "several" else ""
        methods.setdefault(row["method"] + views, []).append(row)
    return dict(sorted(methods.items(), key=lambda item: (-_level(item[1]), item[0])))


def _level(rows: list[Row]) -> float:
    good = [row["acc"] for row in rows if row["error"] is None]
    return mean(good) if good else -1.0


def _section(name: tuple[str, ...], rows: list[Row]) -> str:
    data, split, balance = name
    measured = next((row for row in rows if row["error"] is None), None)
    size = f", {measured['n']:,} images, {measured['n_clusters']} classes" if measured else ""
    lines = [
        f"## {data}, {balance}: {SPLITS[split]}\n",
        f"{len({row['seed'] for row in rows})} seeds{size}.\n",
        "| method | ACC | NMI | ARI | seconds | MiB | clusters |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_line(method, of_it) for method, of_it in summarise(rows).items()),
    ]
    return "\n".join(lines) + "\n"


def _line(method: str, rows: list[Row]) -> str:
    good = [row for row in rows if row["error"] is None]
    failed = [row for row in rows if row["error"] is not None]
    if not good:
        return f"| {method} | failed: {_cell(failed[0]['error'])} | | | | | |"
    scores = [_spread([row[name] for row in good], ".3f") for name in ("acc", "nmi", "ari")]
    seconds = _spread([row["seconds"] for row in good], ".1f")
    memory = f"{mean(row['memory_mib'] for row in good):.0f}"
    clusters = f"{mean(row['found'] for row in good):.4g}"
    if any(row["noise"] for row in good):
        clusters += f", {100 * mean(row['noise'] for row in good):.0f} % noise"
    if failed:
        clusters += f"; {len(failed)} failed: {_cell(failed[0]['error'])}"
    return f"| {method} | {' | '.join(scores)} | {seconds} | {memory} | {clusters} |"


def _spread(values: list[float], form: str) -> str:
    text = format(mean(values), form)
    return f"{text} ± {format(stdev(values), form)}" if len(values) > 1 else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")[:120]
