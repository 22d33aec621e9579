"""Commands that cluster: cluster, embed, fit, relocate, predict, evaluate."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from headlight.cli.command import command
from headlight.cli.options import (
    AsJson,
    Clusters,
    Debug,
    Device,
    DiscardEdits,
    EncoderName,
    Out,
    Precision,
    Quiet,
    Recipe,
    RunFolder,
    Seed,
    Source,
    ViewImages,
    Views,
)
from headlight.cli.printing import Stages, say_embedded, show_evaluation, show_predictions, show_run
from headlight.cli.terminal import Terminal
from headlight.counts import counted

CLUSTER = "Cluster"


@command(
    CLUSTER,
    "cluster ~/photos",
    "cluster ~/photos -k 20 --seed 1",
    "cluster train.parquet -o train.headlight --encoder dinov2-small",
)
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
    precision: Precision = "auto",
    discard_edits: DiscardEdits = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster images into a run folder with a report."""
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
            precision=precision,
            discard_edits=discard_edits,
            stages=stages,
            on_embedded=functools.partial(say_embedded, terminal),
        )
    show_run(terminal, run)


@command(CLUSTER, "embed ~/photos", "embed ~/photos -o photos.headlight --views 0")
def embed(
    source: Source,
    out: Out = None,
    encoder: EncoderName = "lite0",
    views: Views = 2,
    view_images: ViewImages = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compute features only; run it again to resume."""
    from headlight.clustering.constants import views_used
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
            precision=precision,
            progress=progress,
        )
    say_embedded(terminal, report)
    terminal.result(f"{counted(run.info.source.images, 'image')} embedded in {run.path}")
    terminal.data({"run": str(run.path)} | run.info.plain())


@command(CLUSTER, "fit photos.headlight -k 50", "fit photos.headlight --seed 1")
def fit(
    run: RunFolder,
    k: Clusters = "auto",
    recipe: Recipe = "robust",
    seed: Seed = 0,
    device: Device = "auto",
    discard_edits: DiscardEdits = False,
    restore: Annotated[
        str | None,
        typer.Option(metavar="FIT", help="Bring back an earlier fit and its edits instead."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster a run again with other settings; features are reused."""
    from headlight.explore import write_report
    from headlight.review import refuse_discarding
    from headlight.runs import fit_run, load_run, restore_fit

    terminal = Terminal(quiet, as_json)
    former = load_run(run)
    edited = restore is None and refuse_discarding(former, discard_edits)
    with Stages(terminal) as stages:
        if restore is not None:
            fitted = restore_fit(former, restore)
        else:
            fitted = fit_run(
                former,
                k,
                recipe=recipe,
                seed=seed,
                device=device,
                discard_edits=edited,
                stages=stages,
            )
        write_report(fitted, progress=stages("report"))
    show_run(terminal, fitted)


@command(CLUSTER, "relocate photos.headlight /media/disk/photos")
def relocate(
    run: RunFolder,
    source: Source,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell a run that its images were moved."""
    from headlight.images import open_source
    from headlight.runs import relocate_run

    terminal = Terminal(quiet, as_json)
    opened = open_source(source)
    found, compared = relocate_run(run, opened)
    terminal.result(
        f"the images of {run} are in {opened.uri}: {found:,} of {compared:,} compared are the same"
    )
    terminal.data({"run": str(run), "source": opened.uri, "same": found, "compared": compared})


@command(
    CLUSTER,
    "predict photos.headlight ~/new-photos",
    "predict photos.headlight ~/new-photos -o new.parquet",
)
def predict(
    run: RunFolder,
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="File to write: .parquet or .csv."),
    ] = None,
    device: Device = "auto",
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER",
            help="The run's torch: encoder, if you trust its code.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Assign new images to the groups of a run, as reviewed."""
    from headlight.images import open_source
    from headlight.review import load_run, predict_run

    terminal = Terminal(quiet, as_json)
    with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
        file = out or Path(folder) / "predictions.parquet"
        with terminal.progress("predict", "images") as progress:
            found = predict_run(
                load_run(run), open_source(source), file, device, progress, encoder=encoder
            )
        show_predictions(terminal, file, found.assigned + found.none + found.unusable)
    if found.none:
        terminal.say(f"{found.none:,} in no group (second: the nearest)")
    if found.unusable:
        terminal.say(f"{found.unusable:,} unusable (column error)")
    terminal.say(f"model {found.model.said()}")
    where = f" in {out}" if out else "; -o FILE.csv or FILE.parquet writes them to a file"
    terminal.result(f"{counted(found.assigned, 'image')} assigned{where}")
    model = found.model
    terminal.data(
        {
            "out": out and str(out),
            "images": found.assigned,
            "none": found.none,
            "unusable": found.unusable,
            "model": {
                "reviewed": model.reviewed,
                "groups": len(model.groups),
                "agreement": model.agreement,
                "by_hand": model.by_hand,
                "agreement_by_hand": model.agreement_by_hand,
            },
        }
    )


@command(
    CLUSTER,
    "evaluate photos.headlight --labels folder",
    "evaluate new.parquet --labels labels.csv",
)
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or file of predictions.")],
    labels: Annotated[
        str, typer.Option(help="folder, source, or a CSV or Parquet file with path and label.")
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score clusters against known labels: ACC, NMI, ARI."""
    from headlight.review import evaluate as evaluate_run

    terminal = Terminal(quiet, as_json)
    result = evaluate_run(run, labels)
    if result["unlabelled"]:
        terminal.say(f"{counted(result['unlabelled'], 'image')} without a label left out")
    show_evaluation(terminal, result)
    terminal.data(result)
