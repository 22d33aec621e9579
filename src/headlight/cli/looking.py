"""Commands that show clusters and take them away: report, explore, export, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headlight.cli.command import command
from headlight.cli.options import AsJson, Debug, Quiet, RunFolder
from headlight.cli.printing import Stages, show_run
from headlight.cli.terminal import Terminal


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
def explore(
    run: RunFolder,
    port: Annotated[int, typer.Option(help="On this machine only; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page at once.")] = True,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look through the clusters and correct them, in the browser; nothing is uploaded."""
    from headlight.explore.app import explore as serve

    terminal = Terminal(quiet)

    def announce(address: str) -> None:
        terminal.result(f"{run} is at {address}")
        terminal.say("Ctrl-C ends it; edits are kept as they are made.")

    serve(run, port, browser, announce)


@command
def export(
    run: RunFolder,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="folders, csv, parquet, json, imagefolder, coco, yolo, fiftyone, label-studio, "
            "onnx.",
        ),
    ],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="New folder, or new file.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copies of images, not hard links.")] = False,
    val: Annotated[
        float | None, typer.Option(help="yolo: share of images for validation; 0.2 if left out.")
    ] = None,
    metadata: Annotated[str | None, typer.Option(help="imagefolder: jsonl or csv.")] = None,
    prefix: Annotated[
        str | None, typer.Option(help="label-studio: address that the images will have.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take the clusters away, as edited: folders, tables, data sets for other tools, the model."""
    from headlight.export import export_run
    from headlight.runs import load_run

    terminal = Terminal(quiet, as_json)
    link = "copy" if copy else None
    with terminal.progress("export", "images") as progress:
        options = {"link": link, "val": val, "metadata": metadata, "prefix": prefix}
        done = export_run(load_run(run), to, dest, progress=progress, **options)
    if done.missing:
        path, why = done.missing[0]
        terminal.say(f"{len(done.missing):,} images left out, the first: {path!r}: {why}")
    placed = done.linked or done.copied
    links = f" ({done.linked:,} hard links, {done.copied:,} copies)" if placed else ""
    terminal.result(f"{done.exported:,} images exported to {dest}{links}")
    terminal.data({"dest": str(dest), "exported": done.exported, "missing": done.missing})


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
