"""Commands that make clusters: cluster, embed, fit, predict, evaluate."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from headlight.cli.command import command
from headlight.cli.options import (
    AsJson,
    Clusters,
    Debug,
    Device,
    EncoderName,
    Out,
    Quiet,
    Recipe,
    RunFolder,
    Seed,
    Source,
    ViewImages,
    Views,
)
from headlight.cli.printing import Stages, say_embedded, show_evaluation, show_run
from headlight.cli.terminal import Terminal


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
    from headlight.clustering.recipes import views_used
    from headlight.images import open_source
    from headlight.pipeline import default_run
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
