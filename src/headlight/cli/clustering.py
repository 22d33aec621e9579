"""Commands that cluster: cluster, embed, fit, relocate, predict, evaluate."""

from __future__ import annotations

import functools
import tempfile
from contextlib import suppress
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
    Fresh,
    Out,
    Precision,
    Quiet,
    Ray,
    Recipe,
    RunFolder,
    Seed,
    Source,
    TrustedEncoder,
    ViewImages,
    Views,
)
from headlight.cli.printing import (
    Stages,
    say_embedded,
    say_updated,
    show_evaluation,
    show_predictions,
    show_run,
    updated_plain,
)
from headlight.cli.terminal import Terminal
from headlight.counts import counted

CLUSTER = "Cluster"


@command(
    CLUSTER,
    "cluster ~/photos",
    "cluster ~/photos -k 20 --seed 1",
    "cluster s3://bucket/photos --encoder dinov2-small",
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
    ray: Ray = None,
    fresh: Fresh = False,
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
            ray=ray,
            fresh=fresh,
            stages=stages,
            on_embedded=functools.partial(say_embedded, terminal),
            on_updated=functools.partial(say_updated, terminal),
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
    ray: Ray = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compute features only; run it again to resume."""
    from headlight.clustering.constants import views_used
    from headlight.distributed import on_ray
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
            where=on_ray(ray) if ray else None,
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
    fresh: Fresh = False,
    restore: Annotated[
        str | None,
        typer.Option(metavar="FIT", help="Make another fit of the run the current one instead."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster a run again with other settings; features are reused."""
    from headlight.explore import write_report
    from headlight.review import fit_again
    from headlight.runs import load_run, restore_fit

    terminal = Terminal(quiet, as_json)
    former = load_run(run)
    with Stages(terminal) as stages:
        if restore is not None:
            fitted = restore_fit(former, restore)
        else:
            fitted = fit_again(
                former, k, recipe=recipe, seed=seed, device=device, fresh=fresh, stages=stages
            )
        current = load_run(run).fit.id == fitted.fit.id
        if current:
            write_report(fitted, progress=stages("report"))
    show_run(terminal, fitted, current=current)


@command(CLUSTER, "update photos.headlight", "update photos.headlight --json")
def update(
    run: RunFolder,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="Its images, if not where they were.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; as before if omitted.")
    ] = None,
    ray: Ray = None,
    encoder: TrustedEncoder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Bring a run up to date: new images join its groups."""
    from headlight.pipeline import update as bring_up_to_date

    terminal = Terminal(quiet, as_json)
    with Stages(terminal) as stages:
        updated, report = bring_up_to_date(
            run,
            source,
            encoder=encoder,
            device=device,
            ray=ray,
            stages=stages,
            on_embedded=functools.partial(say_embedded, terminal),
        )
    say_updated(terminal, updated, report)
    terminal.data({"run": str(updated.path)} | updated_plain(updated, report))


@command(CLUSTER, "watch photos.headlight", "watch photos.headlight --json")
def watch(
    run: RunFolder,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; as before if omitted.")
    ] = None,
    encoder: TrustedEncoder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Update a run whenever its images change."""
    from headlight.watching import watch as updates_of

    terminal = Terminal(quiet, as_json)
    updates = updates_of(
        run,
        device=device,
        encoder=encoder,
        on_problem=lambda error: terminal.say(f"headlight: {error}; waiting for the next change"),
    )
    with suppress(KeyboardInterrupt):
        for updated, report in updates:
            say_updated(terminal, updated, report)
            terminal.data({"run": str(updated.path)} | updated_plain(updated, report))
            terminal.say("waiting for changes; Ctrl-C stops it")


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
    ray: Ray = None,
    encoder: TrustedEncoder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Assign new images to the groups of a run, as reviewed."""
    from headlight.distributed import on_ray
    from headlight.images import open_source
    from headlight.review import load_run, predict_run

    terminal = Terminal(quiet, as_json)
    with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
        file = out or Path(folder) / "predictions.parquet"
        with terminal.progress("predict", "images") as progress:
            found = predict_run(
                load_run(run),
                open_source(source),
                file,
                device,
                progress,
                encoder=encoder,
                where=on_ray(ray) if ray else None,
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
