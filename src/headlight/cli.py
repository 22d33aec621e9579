"""The command line: parse, call, print."""

from __future__ import annotations

import errno
import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headlight.errors import HeadlightError
from headlight.terminal import Terminal

if TYPE_CHECKING:
    from rich.table import Table

    from headlight.features import EmbedReport
    from headlight.runs import Run

app = typer.Typer(
    name="headlight",
    help="Groups of unlabelled images: frozen features, and a small head trained on pairs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Source = Annotated[
    str, typer.Argument(help="Folder, Parquet file with an image column, or: digits.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Clusters = Annotated[int, typer.Option("-k", "--clusters", help="Number of clusters, at least 2.")]
Out = Annotated[
    Path | None, typer.Option("-o", help="Run folder; ./SOURCE_NAME.headlight if left out.")
]
EncoderName = Annotated[str, typer.Option("--encoder", help="See: headlight encoders.")]
Views = Annotated[int, typer.Option(help="Augmented views an image, beside the plain one.")]
Recipe = Annotated[str, typer.Option(help="robust, or paper (SCP as published).")]
Seed = Annotated[int, typer.Option(help="Of everything random in training.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

SHOWN = 25  # clusters in the table that `cluster` prints


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Registers a command; what goes wrong in it becomes one sentence and an exit code."""

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        try:
            function(**arguments)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            if arguments.get("debug"):
                raise
            if isinstance(error, BrokenPipeError):  # `headlight … | head`: nobody listens
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            typer.echo(f"headlight: {_sentence(error)}", err=True)
            raise typer.Exit(130 if isinstance(error, KeyboardInterrupt) else 1) from None

    app.command(name=function.__name__.strip("_"))(run)
    return run


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "stopped; the same command again goes on from here"
    if isinstance(error, HeadlightError):
        return str(error)
    # Lance reports the operating system's errors in other classes, as text.
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return f"the disk is full{where}: free some space, then the same command again goes on"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} can't be read or written: {error.strerror.lower()}"
    text = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {text} (--debug shows where; please report it)"


@command
def cluster(
    source: Source,
    k: Clusters,
    out: Out = None,
    encoder: EncoderName = "lite0",
    views: Views = 2,
    recipe: Recipe = "robust",
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster images: from a folder to a run folder with a report."""
    from headlight.pipeline import cluster as run_all

    terminal = Terminal(quiet, as_json)
    with _Stages(terminal) as stages:
        run = run_all(
            source,
            k,
            out=out,
            encoder=encoder,
            views=views,
            recipe=recipe,
            seed=seed,
            device=device,
            stages=stages,
            on_embedded=functools.partial(_say_embedded, terminal),
        )
    _show(terminal, run)


@command
def embed(
    source: Source,
    out: Out = None,
    encoder: EncoderName = "lite0",
    views: Views = 2,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the features of images, and no clusters yet. Run again, it goes on."""
    from headlight.images import open_source
    from headlight.pipeline import default_run
    from headlight.runs import embed_run

    terminal = Terminal(quiet, as_json)
    opened = open_source(source)
    path = out or default_run(opened)
    with terminal.progress("embed", "images") as progress:
        run, report = embed_run(
            opened, path, encoder=encoder, views=views, device=device, progress=progress
        )
    _say_embedded(terminal, report)
    terminal.result(f"{run.info['source']['images']:,} images embedded in {run.path}")
    terminal.data({"run": str(run.path)} | run.info)


@command
def fit(
    run: RunFolder,
    k: Clusters,
    recipe: Recipe = "robust",
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster the features of a run, replacing the clusters it had."""
    from headlight.explore import write_report
    from headlight.runs import fit_run, load_run

    terminal = Terminal(quiet, as_json)
    with terminal.progress("fit", "steps") as progress:
        fitted = fit_run(
            load_run(run), k, recipe=recipe, seed=seed, device=device, progress=progress
        )
    write_report(fitted)
    _show(terminal, fitted)


@command
def predict(
    run: RunFolder,
    source: Source,
    out: Annotated[Path, typer.Option("-o", help="File to write: .parquet or .csv.")],
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Assign new images to the clusters of a run."""
    from headlight.images import open_source
    from headlight.runs import load_run, predict_run

    terminal = Terminal(quiet, as_json)
    with terminal.progress("predict", "images") as progress:
        good, bad = predict_run(load_run(run), open_source(source), out, device, progress)
    if bad:
        terminal.say(f"{bad:,} images could not be used: see the column error in {out}")
    terminal.result(f"{good:,} images assigned in {out}")
    terminal.data({"out": str(out), "images": good, "unusable": bad})


@command
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or file of predictions.")],
    labels: Annotated[
        str, typer.Option(help="folder, source, or a CSV or Parquet file with path and label.")
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare clusters with known labels: ACC, NMI, ARI and who is confused with whom."""
    from headlight.runs import evaluate as evaluate_run

    terminal = Terminal(quiet, as_json)
    result = evaluate_run(run, labels)
    if result["unlabelled"]:
        terminal.say(f"{result['unlabelled']:,} images have no label and are left out")
    _show_evaluation(terminal, result)
    terminal.data(result)


@command
def report(
    run: RunFolder, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Write the page that shows a run: RUN/report.html, one file that needs no network."""
    from headlight.explore import write_report
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    path = write_report(load_run(run))
    terminal.result(f"report: {path.resolve()}")
    terminal.data({"report": str(path.resolve())})


@command
def export(
    run: RunFolder,
    to: Annotated[str, typer.Option("--to", help="folders, csv or parquet.")],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="New folder, or new file.")],
    copy: Annotated[bool, typer.Option("--copy", help="folders: copies, not hard links.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take the clusters away: a folder a cluster (links or copies), a CSV or a Parquet file."""
    from headlight.export import EXPORTS, export_folders
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    if to not in EXPORTS:
        raise HeadlightError(f"--to {to}: give one of {', '.join(EXPORTS)}")
    if copy and to != "folders":
        raise HeadlightError(f"--copy goes with --to folders, not {to}")
    if copy:
        done = export_folders(load_run(run), dest, link="copy")
    else:
        done = EXPORTS[to](load_run(run), dest)
    if done.missing:
        path, why = done.missing[0]
        terminal.say(f"{len(done.missing):,} images left out, the first: {path!r}: {why}")
    links = f" ({done.linked:,} hard links, {done.copied:,} copies)" if to == "folders" else ""
    terminal.result(f"{done.exported:,} images exported to {dest}{links}")
    terminal.data({"dest": str(dest), "exported": done.exported, "missing": done.missing})


@command
def encoders(as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List the encoders."""
    from headlight.encoders import ENCODERS

    terminal = Terminal(quiet, as_json)
    made = [make() for make in ENCODERS.values()]
    table = _table("name", "dim", "input", "about")
    for e in made:
        table.add_row(e.name, str(e.dim), f"{e.input_size} px", e.description)
    terminal.table(table)
    rows = [{"name": e.name, "dim": e.dim, "input_size": e.input_size} for e in made]
    terminal.data({"encoders": rows})


@command
def demo(
    out: Annotated[Path, typer.Option("-o", help="Run folder.")] = Path("digits.headlight"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster the embedded data set, 1,797 handwritten digits, with the embedded encoder."""
    from headlight.explore import write_report
    from headlight.pipeline import cluster as run_all
    from headlight.runs import evaluate as evaluate_run
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    terminal.say("1,797 handwritten digits, no labels given: which belong together?")
    with _Stages(terminal) as stages:
        run_all("digits", 10, out=out, stages=stages)
    scores = evaluate_run(out, "source")
    run = load_run(out)
    write_report(run)  # again, now with the scores
    _show(terminal, run)
    terminal.result(
        "Compared with the labels, which were not used: "
        f"ACC {scores['acc']:.3f}, NMI {scores['nmi']:.3f}, ARI {scores['ari']:.3f}"
    )


class _Stages:
    """One progress display after the other, as the stages of the pipeline ask for them."""

    UNITS = {"embed": "images", "fit": "steps"}  # noqa: RUF012

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._open: Any = None

    def __call__(self, stage: str) -> Callable[[int, int], None]:
        self._close()
        self._open = self._terminal.progress(stage, self.UNITS[stage])
        return self._open.__enter__()

    def __enter__(self) -> _Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


def _say_embedded(terminal: Terminal, report: EmbedReport) -> None:
    parts = [
        (report.kept, "already embedded"),
        (report.added, "new"),
        (report.changed, "changed since, embedded again"),
        (report.gone, "gone from the source, dropped"),
        (len(report.quarantine), "unusable, in quarantine.parquet"),
    ]
    terminal.say("images: " + "; ".join(f"{n:,} {what}" for n, what in parts if n))
    for path, reason in report.quarantine[:3]:
        terminal.say(f"  {path!r}: {reason}")
    if len(report.quarantine) > 3:
        terminal.say(f"  … and {len(report.quarantine) - 3:,} more")


def _show(terminal: Terminal, run: Run) -> None:
    rows = run.clusters.to_pylist()
    total = sum(row["size"] for row in rows)
    table = _table("cluster", "images", "share", "confidence", "most typical")
    for row in rows[:SHOWN]:
        confidence = row["mean_confidence"]
        table.add_row(
            row["name"],
            f"{row['size']:,}",
            f"{row['size'] / total:.1%}",
            "–" if confidence is None else f"{confidence:.2f}",
            _plain(row["prototypes"][0]) if row["prototypes"] else "(empty)",
        )
    terminal.table(table)
    if len(rows) > SHOWN:
        terminal.result(f"… and {len(rows) - SHOWN} smaller clusters")
    page = (run.path / "report.html").resolve()
    terminal.result(f"{total:,} images in {len(rows)} clusters: {run.path}")
    terminal.result(f"report: {page}")
    terminal.data({"run": str(run.path), "report": str(page), "clusters": rows} | run.info)


def _show_evaluation(terminal: Terminal, result: dict[str, Any]) -> None:
    found = result["confusion"]
    classes, clusters = found["classes"], found["clusters"]
    if len(classes) <= 20 and len(clusters) <= 20:
        table = _table("class", *(str(c) for c in clusters), text=(0,))
        for name, row in zip(classes, found["table"], strict=True):
            matched = found["matched"].get(str(name))
            cells = [
                f"[{n}]" if c == matched else str(n) for c, n in zip(clusters, row, strict=True)
            ]
            table.add_row(_plain(str(name)), *(_plain(cell) for cell in cells))
        terminal.table(table)
        terminal.result("rows: classes; columns: clusters; [n]: the cluster matched to the class")
    terminal.result(
        f"ACC {result['acc']:.4f}  NMI {result['nmi']:.4f}  ARI {result['ari']:.4f}  "
        f"({result['images']:,} images, {len(classes)} classes, {len(clusters)} clusters)"
    )


def _table(*columns: str, text: tuple[int, ...] = (0, -1)) -> Table:
    """An empty table; the columns at the places ``text`` hold words, the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    words = {columns[i] for i in text}
    for name in columns:
        table.add_column(name, justify="left" if name in words else "right")
    return table


def _plain(text: str) -> str:
    """File names and labels as they are: no markup, no control characters."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "�" for c in text))


def main() -> None:
    """Entry point of the command ``headlight``."""
    # Remarks on single files: what counts ends in the quarantine, with its reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    app()
