"""Everything in one call: images → features → clusters → a run folder with its report."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from headlight.clustering.constants import views_used
from headlight.devices import resolve_devices
from headlight.distributed import on_ray
from headlight.errors import HeadlightError
from headlight.features import EmbedReport, Progress, Stages
from headlight.images import ImageSource, open_source
from headlight.review import UpdateReport, fit_again, is_living, update_run
from headlight.run import Run, as_run
from headlight.runs import check_clusters, embed_run, refuse_other_fit, refuse_other_source
from headlight.runs.features import features_digest
from headlight.runs.run import load_run

if TYPE_CHECKING:
    from headlight.clustering import Features


@overload
def embed(
    source: str | os.PathLike[str] | ImageSource,
    *,
    encoder: str = "lite0",
    views: int = 2,
    view_images: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    return_paths: Literal[False] = False,
) -> Features: ...


@overload
def embed(
    source: str | os.PathLike[str] | ImageSource,
    *,
    encoder: str = "lite0",
    views: int = 2,
    view_images: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    return_paths: Literal[True],
) -> tuple[Features, list[str]]: ...


def embed(
    source: str | os.PathLike[str] | ImageSource,
    *,
    encoder: str = "lite0",
    views: int = 2,
    view_images: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    return_paths: bool = False,
) -> Features | tuple[Features, list[str]]:
    """Compute features of images for `SCP.fit`, the same as those of `cluster`.

    Arguments:
        source: a folder, file, list or URL, see `headlight.images.open_source`; or ``digits``.
        encoder: its name, or several joined by ``+``; ``headlight encoders`` lists them.
        views: augmented views per image, besides the plain one.
        view_images: about how many images get augmented views, a random sample; None: 4,000, as
            the recipe ``robust`` uses.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: of the encoder: ``f32``, ``bf16``, or ``auto``: bf16 if it is faster
            and the features stay accurate.
        out: run folder that stores the features, and from which to resume. None: a temporary one.
        progress: called with the number of images done and their total.
        return_paths: also return the path of each row's image; images that could not be used have
            no row.

    Returns:
        `Features`, which `SCP.fit` takes as it is: ``plain``, float16 (n, dim), one row per
        image, sorted by the images' content, so that their names and places don't matter;
        ``views``, float16 (m, views, dim), of the rows ``viewed``, int64 (m,). With
        ``return_paths``, a pair of that and the n paths.

    Raises:
        HeadlightError: no image is usable, or ``out`` is not a run with these settings.
    """
    opened = open_source(source)
    with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
        run, _ = embed_run(
            opened,
            Path(folder) / "run" if out is None else Path(out),
            encoder=encoder,
            views=views,
            view_images=views_used("robust") if view_images is None else view_images,
            device=device,
            precision=precision,
            progress=progress,
        )
        paths, features = run.features.load(by_content=True)
    return (features, paths.to_pylist()) if return_paths else features


def cluster(
    source: str | os.PathLike[str] | ImageSource,
    n_clusters: int | Literal["auto"] = "auto",
    *,
    out: str | os.PathLike[str] | None = None,
    encoder: str = "lite0",
    views: int = 2,
    view_images: int | None = None,
    recipe: str = "robust",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    ray: str | None = None,
    fresh: bool = False,
    stages: Stages | None = None,
    on_embedded: Callable[[EmbedReport], None] | None = None,
    on_updated: Callable[[Run, UpdateReport], None] | None = None,
) -> Run:
    """Cluster images into a run folder with a report. Called again, it resumes.

    A run that people have edited is updated (see `update`): its groups stay. One that nobody has
    edited is clustered again if its images have changed.

    Arguments:
        source: a folder, file, list or URL, see `headlight.images.open_source`; or ``digits``.
        n_clusters: K, at least 2, or ``auto``, to estimate it from the features.
        out: the run folder; ``./SOURCE_NAME.headlight`` if omitted.
        encoder: its name, or several joined by ``+``.
        views: augmented views per image, besides the plain one.
        view_images: about how many images get augmented views, a random sample; None: as the
            recipe uses, 4,000 for ``robust`` and all for ``paper``.
        recipe: ``robust`` or ``paper``; see `headlight.SCP`.
        seed: of all randomness in training. Augmented views don't depend on it: they are seeded by
            the image and the view.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: of the encoder: ``f32``, ``bf16``, or ``auto``: bf16 if it is faster
            and the features stay accurate.
        ray: encode on a Ray cluster: ``local`` starts one on this machine, ``auto`` finds the one
            that runs, else its address; None: in this process.
        fresh: start over even if the run has edits; they are set aside with the earlier fit.
        stages: called with ``embed``, ``fit``, ``map`` (or ``update`` instead of both) and
            ``report``, in this order; returns the progress callback of each.
        on_embedded: called with the `EmbedReport` after embedding.
        on_updated: called with the run and the `UpdateReport` if it was updated.

    Returns:
        The run.

    Raises:
        HeadlightError: clustering is impossible; nothing of an earlier run is lost.
    """
    opened = open_source(source)
    path = default_run(opened) if out is None else Path(out)
    check_clusters(n_clusters)
    resolve_devices(device)
    refuse_other_source(path, opened)
    former = load_run(path) if (path / "run.json").exists() else None
    living = former is not None and not fresh and is_living(former)
    if former:
        refuse_other_fit(former, n_clusters, recipe, seed, living=living)
    if opened.count:
        check_clusters(n_clusters, opened.count)
    embedding: dict[str, Any] = {
        "encoder": encoder,
        "views": views,
        "view_images": view_images,
        "device": device,
        "precision": precision,
        "where": on_ray(ray) if ray else None,
    }
    if former and living:
        if view_images is None:  # then as before
            del embedding["view_images"]
        run, updated = update_run(
            former, opened, stages=stages, on_embedded=on_embedded, **embedding
        )
        if on_updated:
            on_updated(as_run(run), updated)
    else:
        if view_images is None:
            embedding["view_images"] = views_used(recipe)
        progress = stages("embed") if stages else None
        run, report = embed_run(opened, path, progress=progress, **embedding)
        if on_embedded:
            on_embedded(report)
        if fresh or not (run.info.fit and run.info.fit.features == features_digest(run.features)):
            run = fit_again(
                run,
                n_clusters,
                recipe=recipe,
                seed=seed,
                device=device,
                fresh=fresh,
                stages=stages,
            )
    from headlight.explore import write_report

    write_report(run, progress=stages("report") if stages else None)
    return as_run(run)


def update(
    run: str | os.PathLike[str],
    source: str | os.PathLike[str] | ImageSource | None = None,
    *,
    encoder: str | None = None,
    device: str | None = None,
    ray: str | None = None,
    stages: Stages | None = None,
    on_embedded: Callable[[EmbedReport], None] | None = None,
) -> tuple[Run, UpdateReport]:
    """Bring a run up to date: new images flow into its groups, and its report is written again.

    Arguments:
        run: the folder.
        source, encoder, device, ray, stages, on_embedded: see `Run.update`.

    Returns:
        The run, and what was done.

    Raises:
        HeadlightError: see there.
    """
    updated = as_run(load_run(run))
    report = updated.update(
        source, encoder=encoder, device=device, ray=ray, stages=stages, on_embedded=on_embedded
    )
    return updated, report


def default_run(source: ImageSource) -> Path:
    """The run folder if ``-o`` is omitted: ``./SOURCE_NAME.headlight``.

    Raises:
        HeadlightError: the source has no name from which to derive it.
    """
    uri = source.uri
    if "://" in uri:  # without a query; a bucket is a name, too
        uri = urlsplit(uri).path.rstrip("/") or urlsplit(uri).netloc
    name = re.sub(r"[-_.]?\{[^{}]*\}", "", Path(uri).name)
    name = re.sub(r"\.(parquet|tar|txt|csv|tsv)$", "", name)
    if not name:
        raise HeadlightError(f"{source.uri} has no name for the run folder: give -o")
    return Path(f"{name}.headlight")
