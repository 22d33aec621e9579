"""The output of the commands: stages, tables of clusters, scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headlight.cli.terminal import Terminal
from headlight.counts import counted, span

if TYPE_CHECKING:
    from rich.table import Table

    from headlight.features import EmbedReport
    from headlight.ranking import RankedEncoder
    from headlight.review import UpdateReport
    from headlight.runs import Run

SHOWN = 25  # clusters in the table that `cluster` prints


class Stages:
    """One progress display after another, each until the next stage begins."""

    UNITS = {"fit": "steps", "map": "steps"}  # noqa: RUF012

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._open: Any = None

    def __call__(self, stage: str) -> Callable[[int, int], None]:
        """End the current display and begin that of ``stage``."""
        self._close()
        self._open = self._terminal.progress(stage, self.UNITS.get(stage, "images"))
        return self._open.__enter__()

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


def say_embedded(terminal: Terminal, report: EmbedReport) -> None:
    """Report what embedding did: how many images are new, changed, removed, unusable."""
    parts = [
        (report.kept, "already embedded"),
        (report.found, "renamed, moved or touched, not embedded again"),
        (report.added, "new"),
        (report.copied, "copied, with the features of an equal image"),
        (report.changed, "changed since, embedded again"),
        (report.gone, "removed from the source"),
        (len(report.quarantine), "unusable, in quarantine.parquet"),
        (report.others, f"other file{'' if report.others == 1 else 's'} skipped"),
    ]
    terminal.say("images: " + "; ".join(f"{n:,} {what}" for n, what in parts if n))
    for path, reason in report.quarantine[:3]:
        terminal.say(f"  {path!r}: {reason}")
    if len(report.quarantine) > 3:
        terminal.say(f"  … and {len(report.quarantine) - 3:,} more")


def say_updated(terminal: Terminal, run: Run, report: UpdateReport) -> None:
    """Report what an update did to the groups."""
    if not report.changed:
        terminal.result(f"nothing new: {run.path} is up to date")
        return
    found = updated_plain(run, report)
    joined = sum(report.joined.values())
    parts = [
        (joined, f"{joined:,} joined {counted(len(report.joined), 'group')}"),
        (
            len(report.proposed),
            f"{sum(report.proposed.values()):,} form "
            f"{counted(len(report.proposed), 'proposed group')}",
        ),
        (report.returned, f"{report.returned:,} came back to where they were"),
        (report.gone, f"{report.gone:,} gone"),
    ]
    said = ", ".join(text for count, text in parts if count) or "no image changed its group"
    terminal.result(f"update: {said}")
    if report.unlike:
        terminal.result(
            f"{report.unlike:,} of those that joined are unlike any image before: they are the "
            "least certain of their groups"
        )
    for one in found["drifted"]:
        terminal.result(
            f"{one['name']!r} has drifted: {one['beyond']} of its {one['joined']} new images lie "
            "farther from its centre than 95 % of the earlier ones"
        )


def updated_plain(run: Run, report: UpdateReport) -> dict[str, Any]:
    """An `UpdateReport` as JSON has it; docs/living-collections.md describes it."""
    from headlight.review.review import review

    names = review(run).names

    def groups(counts: dict[int, int]) -> list[dict[str, Any]]:
        return [
            {"id": group, "name": names.get(group), "images": count}
            for group, count in sorted(counts.items())
        ]

    embedded = report.embedded
    return {
        "changed": report.changed,
        "fit": run.fit.id,
        "new": embedded.added + embedded.changed,
        "renamed": embedded.found,
        "copied": embedded.copied,
        "unusable": len(embedded.quarantine),
        "joined": groups(report.joined),
        "proposed": groups(report.proposed),
        "unlike": report.unlike,
        "returned": report.returned,
        "gone": report.gone,
        "drifted": [
            {"id": one.group, "name": names.get(one.group), "beyond": one.beyond}
            | {"joined": one.joined}
            for one in report.drifted
        ],
    }


def show_run(terminal: Terminal, run: Run, *, current: bool = True) -> None:
    """Print the table of clusters and the path of the report.

    Arguments:
        current: False for a fit that is kept beside the current one.
    """
    from headlight.review.review import review

    reviewed = review(run)
    rows = reviewed.clusters().to_pylist()
    total = sum(row["size"] for row in rows)
    table = new_table("cluster", "images", "share", "confidence", "quality", "most typical")
    for row in rows[:SHOWN]:
        confidence = row["mean_confidence"]
        table.add_row(
            row["name"],
            f"{row['size']:,}",
            f"{row['size'] / total:.1%}",
            "–" if confidence is None else f"{confidence:.2f}",
            "–" if row["quality"] is None else f"{row['quality']:.2f}",
            plain(row["prototypes"][0]) if row["prototypes"] else "(empty)",
        )
    terminal.table(table)
    if len(rows) > SHOWN:
        terminal.result(f"… and {counted(len(rows) - SHOWN, 'smaller cluster')}")
    for name in run.fit.encoders_left_out:
        terminal.say(f"{name} adds nothing to the best encoder and was left out")
    if former := run.fit.former:
        terminal.say(
            "the earlier fit and its edits are still in the run; to restore them: "
            f"headlight fit {run.path} --restore {former}"
        )
    page = (run.path / "report.html").resolve()
    found = ""
    if likely := run.fit.n_clusters_range:
        found = f" (-k auto; {span(*likely)} likely)"
    if reviewed.n_edits:
        found += f", {counted(reviewed.n_edits, 'edit')}"
    terminal.result(
        f"{counted(total, 'image')} in {counted(len(rows), 'cluster')}{found}: {run.path}"
    )
    if others := run.fit.n_clusters_levels[1:]:
        numbers = " and ".join(map(str, others))
        terminal.result(f"the data also fall apart at {numbers}: -k {others[0]}")
    if current:
        terminal.result(f"report: {page}")
    else:
        terminal.result(
            f"people have edited this run, so its present clusters stay, and these are kept beside "
            f"them as fit {run.fit.id}: `headlight compare {run.path}` shows what would change, "
            f"`headlight fit {run.path} --restore {run.fit.id}` takes it, edits and all"
        )
    terminal.data(
        {"run": str(run.path), "report": str(page), "clusters": rows, "current": current}
        | run.info.plain()
    )


def show_predictions(terminal: Terminal, file: Path, total: int) -> None:
    """Print the first rows of a file of predictions."""
    import pyarrow.csv
    import pyarrow.parquet

    if file.suffix == ".csv":
        batch = pyarrow.csv.open_csv(file).read_next_batch()
    else:
        batch = next(pyarrow.parquet.ParquetFile(file).iter_batches(SHOWN))
    table = new_table("image", "group", "confidence", text=(0, 1))
    for row in batch.slice(0, SHOWN).to_pylist():
        if row["error"]:
            cells = ("–", row["error"])
        elif row["cluster"] is None:
            cells = ("none", "–")
        else:
            cells = (row["name"], f"{row['confidence']:.2f}")
        table.add_row(*(plain(str(cell)) for cell in (row["path"], *cells)))
    terminal.table(table)
    if total > SHOWN:
        terminal.result(f"… and {total - SHOWN:,} more")


def show_evaluation(terminal: Terminal, result: dict[str, Any]) -> None:
    """Print ACC, NMI and ARI, and the confusion table if it fits a screen."""
    found = result["confusion"]
    classes, clusters = found["classes"], found["clusters"]
    if len(classes) <= 20 and len(clusters) <= 20:
        table = new_table("class", *(str(c) for c in clusters), text=(0,))
        for name, row in zip(classes, found["table"], strict=True):
            matched = found["matched"].get(str(name))
            cells = [
                f"[{n}]" if c == matched else str(n) for c, n in zip(clusters, row, strict=True)
            ]
            table.add_row(plain(str(name)), *(plain(cell) for cell in cells))
        terminal.table(table)
        terminal.result("rows: classes; columns: clusters; [n]: the cluster matched to the class")
    terminal.result(
        f"ACC {result['acc']:.4f}  NMI {result['nmi']:.4f}  ARI {result['ari']:.4f}  "
        f"({counted(result['images'], 'image')}, {counted(len(classes), 'class', 'classes')}, "
        f"{counted(len(clusters), 'cluster')})"
    )


def show_ranking(terminal: Terminal, ranked: list[RankedEncoder]) -> None:
    """Print the encoders, best first, and how to use the best."""
    table = new_table("encoder", "score", "clusters", "confidence", "images/s", text=(0,))
    for one in ranked:
        table.add_row(
            plain(one.encoder),
            f"{one.score:.3f}",
            str(one.n_clusters),
            f"{one.confidence:.2f}",
            f"{one.images_per_second:.0f}",
        )
    terminal.table(table)
    terminal.result(
        "score: how well an encoder's clusters explain which images are neighbours for the other "
        "encoders (1: as well as their own clusters do); no labels used. To use the best: "
        f"--encoder {ranked[0].encoder}"
    )


def new_table(*columns: str, text: tuple[int, ...] = (0, -1)) -> Table:
    """An empty table; the columns with indices ``text`` contain text, the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    words = {columns[i] for i in text}
    for name in columns:
        table.add_column(name, justify="left" if name in words else "right")
    return table


def plain(text: str) -> str:
    """File names and labels as they are: no markup, no control characters."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "�" for c in text))
