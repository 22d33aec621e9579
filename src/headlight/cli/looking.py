"""Commands for looking at clusters and exporting them: report, explore, export, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from headlight.cli.command import command
from headlight.cli.options import AsJson, Debug, Quiet, RunFolder
from headlight.cli.printing import Stages, show_run
from headlight.cli.terminal import Terminal
from headlight.counts import counted

REVIEW = "Review and export"
Format = Literal[
    "folders",
    "csv",
    "parquet",
    "json",
    "imagefolder",
    "coco",
    "yolo",
    "fiftyone",
    "label-studio",
    "onnx",
]


@command(REVIEW, "report photos.headlight")
def report(
    run: RunFolder, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Write RUN/report.html, one self-contained page."""
    from headlight.explore import write_report
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    with terminal.progress("report", "images") as progress:
        path = write_report(load_run(run), progress=progress)
    terminal.result(f"report: {path.resolve()}")
    terminal.data({"report": str(path.resolve())})


@command(REVIEW, "explore photos.headlight", "explore photos.headlight --port 8400 --no-browser")
def explore(
    run: RunFolder,
    port: Annotated[
        int, typer.Option(metavar="N", help="Port on this machine; 0: any free one.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Review and correct clusters in the browser, locally."""
    from headlight.explore.app import explore as serve

    terminal = Terminal(quiet)

    def announce(address: str) -> None:
        terminal.result(f"{run} is at {address}")
        terminal.say("Ctrl-C stops it; every edit is saved at once.")

    serve(run, port, browser, announce)


@command(
    REVIEW,
    "export photos.headlight --to folders sorted/",
    "export photos.headlight --to csv photos.csv",
    "export photos.headlight --to yolo out/ --val 0.3",
)
def export(
    run: RunFolder,
    to: Annotated[
        Format, typer.Option("--to", metavar="FORMAT", help=f"{', '.join(get_args(Format))}.")
    ],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="New folder or new file.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy images; by default they are hard links.")
    ] = False,
    val: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="yolo: share of the validation set; 0.2 if omitted."),
    ] = None,
    metadata: Annotated[
        Literal["jsonl", "csv"] | None, typer.Option(help="imagefolder: format of the metadata.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="URL", help="label-studio: where the images will be served from."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Export the reviewed clusters as folders, tables or a model."""
    from headlight.export import export_run
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    link = "copy" if copy else None
    with terminal.progress("export", "images") as progress:
        options = {"link": link, "val": val, "metadata": metadata, "prefix": prefix}
        done = export_run(load_run(run), to, dest, progress=progress, **options)
    if done.missing:
        path, why = done.missing[0]
        terminal.say(f"{counted(len(done.missing), 'image')} left out, the first: {path!r}: {why}")
    placed = done.linked or done.copied
    links = (
        f" ({counted(done.linked, 'hard link')}, {counted(done.copied, 'copy', 'copies')})"
        if placed
        else ""
    )
    terminal.result(f"{counted(done.exported, 'image')} exported to {dest}{links}")
    terminal.data({"dest": str(dest), "exported": done.exported, "missing": done.missing})


@command("Try it", "demo")
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Run folder.")] = Path(
        "digits.headlight"
    ),
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster the bundled data set, 1,797 handwritten digits."""
    from headlight.explore import write_report
    from headlight.pipeline import cluster as run_all
    from headlight.review import evaluate as evaluate_run
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    terminal.say("1,797 handwritten digits, no labels given: which belong together?")
    with Stages(terminal) as stages:
        run_all("digits", 10, out=out, stages=stages)
    scores = evaluate_run(out, "source")
    run = load_run(out)
    write_report(run)  # again, now with the scores
    show_run(terminal, run)
    terminal.result(
        "Compared with the labels, which were not used: "
        f"ACC {scores['acc']:.3f}, NMI {scores['nmi']:.3f}, ARI {scores['ari']:.3f}"
    )
