"""The command line: parse, call, print."""

from __future__ import annotations

import errno
import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from headlight.errors import HeadlightError
from headlight.printing import (
    Stages,
    new_table,
    say_embedded,
    show_evaluation,
    show_ranking,
    show_run,
)
from headlight.terminal import Terminal

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


def _clusters(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor auto") from None


Clusters = Annotated[
    Any,
    typer.Option(
        "-k",
        "--clusters",
        parser=_clusters,
        metavar="N|auto",
        help="Number of clusters, at least 2; auto: as many as the features show.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("-o", help="Run folder; ./SOURCE_NAME.headlight if left out.")
]
EncoderName = Annotated[str, typer.Option("--encoder", help="See: headlight encoders.")]
Views = Annotated[int, typer.Option(help="Augmented views an image, beside the plain one.")]
ViewImages = Annotated[
    int | None,
    typer.Option(
        help="Images that get augmented views, a random sample; 4,000 if left out (paper: all)."
    ),
]
Recipe = Annotated[str, typer.Option(help="robust, or paper (SCP as published).")]
Seed = Annotated[int, typer.Option(help="Of everything random in training.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


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

    app.command(name=function.__name__.strip("_").replace("_", "-"))(run)
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
    k: Clusters = "auto",
    out: Out = None,
    encoder: EncoderName = "lite0",
    views: Views = 2,
    view_images: ViewImages = None,
    recipe: Recipe = "robust",
    seed: Seed = 0,
    device: Device = "auto",
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Experiment: tune the encoder on the clusters first.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster images: from a folder to a run folder with a report."""
    from headlight.pipeline import cluster as run_all

    terminal = Terminal(quiet, as_json)
    with Stages(terminal) as stages:
        run = run_all(
            source,
            k,
            out=out,
            encoder=encoder,
            views=views,
            view_images=view_images,
            recipe=recipe,
            seed=seed,
            device=device,
            adapt=adapt,
            stages=stages,
            on_embedded=functools.partial(say_embedded, terminal),
        )
    show_run(terminal, run)


@command
def embed(
    source: Source,
    out: Out = None,
    encoder: EncoderName = "lite0",
    views: Views = 2,
    view_images: ViewImages = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the features of images, and no clusters yet. Run again, it goes on."""
    from headlight.images import open_source
    from headlight.pipeline import default_run, views_used
    from headlight.runs import embed_run

    terminal = Terminal(quiet, as_json)
    opened = open_source(source)
    path = out or default_run(opened)
    with terminal.progress("embed", "images") as progress:
        run, report = embed_run(
            opened,
            path,
            encoder=encoder,
            views=views,
            view_images=views_used("robust") if view_images is None else view_images,
            device=device,
            progress=progress,
        )
    say_embedded(terminal, report)
    terminal.result(f"{run.info['source']['images']:,} images embedded in {run.path}")
    terminal.data({"run": str(run.path)} | run.info)


@command
def fit(
    run: RunFolder,
    k: Clusters = "auto",
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
    show_run(terminal, fitted)


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
    show_evaluation(terminal, result)
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
    """List the encoders, and whether they work here without a network."""
    from dataclasses import asdict

    from rich.markup import escape

    from headlight.encoders.listing import SPELLINGS, listed

    terminal = Terminal(quiet, as_json)
    rows = listed()
    columns = ("encoder", "dim", "pixels", "params", "ready", "needed first", "about")
    table = new_table(*columns, text=(0, 4, 5, 6))
    for one in rows:
        numbers = (str(one.dim), str(one.input_size), f"{one.parameters:g} M")
        ready = "yes" if one.usable else "no"
        # What comes after installing is shown when that is done.
        extra = one.missing[0] if one.missing and "[" in one.missing[0] else ""
        needed = escape(extra or ", ".join(one.missing))
        table.add_row(one.name, *numbers, ready, needed, one.about)
    terminal.table(table)
    for spelling, meaning in SPELLINGS:
        terminal.result(f"  {spelling:34}{meaning}")
    terminal.data({"encoders": [asdict(one) for one in rows]})


@command
def benchmark(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="cifar10|20|100, stl10, imagenet10, imagenet-dogs."),
    ],
    data: Annotated[Path, typer.Option(help="Folder with the data set's files as published.")],
    encoder: EncoderName = "lite0",
    views: Views = 2,
    recipe: Annotated[str | None, typer.Option(help="robust or paper; both if left out.")] = None,
    seeds: Annotated[int, typer.Option(help="How many, from 0 on.")] = 3,
    device: Device = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Folder for the features; ./DATASET.benchmark if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write it to a .md or .json file.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score headlight, k-means and UMAP + k-means on a data set of the literature."""
    from headlight.benchmarking import SCORES, about, spread
    from headlight.benchmarking import benchmark as run_all

    terminal = Terminal(quiet, as_json)
    with Stages(terminal) as stages:
        result = run_all(
            dataset,
            data,
            encoder=encoder,
            views=views,
            recipe=recipe,
            seeds=seeds,
            device=device,
            cache=cache,
            out=out,
            stages=stages,
            on_embedded=functools.partial(say_embedded, terminal),
        )
    for note in result["notes"]:
        terminal.say(note)
    table = new_table("method", "ACC", "NMI", "ARI", "seconds a fit", text=(0,))
    for row in result["methods"]:
        scores = (spread(row[name]) for name in SCORES)
        table.add_row(row["method"], *scores, spread(row["seconds"], 1))
    terminal.table(table)
    terminal.result(about(result))
    terminal.data(result)


@command
def rank_encoders(
    source: Source,
    encoders: Annotated[
        str, typer.Option(help="Names with commas between; all on this disk if left out.")
    ] = "",
    images: Annotated[int, typer.Option(help="Of the sample.")] = 2000,
    k: Clusters = "auto",
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Which encoder suits these images? Embeds a sample with each, ranks them without labels."""
    from dataclasses import asdict

    from headlight.encoders.listing import listed
    from headlight.ranking import rank_encoders as rank

    terminal = Terminal(quiet, as_json)
    names = [name.strip() for name in encoders.split(",") if name.strip()]
    names = names or [one.name for one in listed() if one.usable]
    with Stages(terminal) as stages:
        ranked = rank(source, names, images=images, n_clusters=k, device=device, stage=stages)
    show_ranking(terminal, ranked)
    terminal.data({"encoders": [asdict(one) for one in ranked]})


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


def main() -> None:
    """Entry point of the command ``headlight``."""
    # Remarks on single files: what counts ends in the quarantine, with its reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    app()
