"""Standard benchmarks: a published data set, and all methods on the same features."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headlight.benchmark.baselines import (
    Method,
    MethodFit,
    compare,
    has_umap,
    k_means,
    umap_k_means,
)
from headlight.benchmark.datasets import Dataset, find_dataset, open_dataset
from headlight.clustering import Features
from headlight.clustering.constants import views_used
from headlight.counts import counted
from headlight.encoders import load_encoders
from headlight.engines import cpu_count
from headlight.errors import HeadlightError
from headlight.evaluation import SCORES
from headlight.features import EmbedReport, Stages
from headlight.images import ImageSource
from headlight.runs import Run, embed_run
from headlight.runs.files import atomic, write_json

RECIPES = ("robust", "paper")


def benchmark(
    name: str,
    data: Path,
    *,
    encoder: str = "lite0",
    views: int = 2,
    recipe: str | None = None,
    seeds: int = 3,
    device: str = "auto",
    cache: Path | None = None,
    out: Path | None = None,
    stages: Stages | None = None,
    on_embedded: Callable[[EmbedReport], None] | None = None,
) -> dict[str, Any]:
    """Score headlight and baselines on a data set, with its standard splits.

    CIFAR-10, CIFAR-20, CIFAR-100 and STL-10 are fitted on the train images and evaluated on the
    test images; the unlabelled images of STL-10 are not used. ImageNet-10 and ImageNet-Dogs are
    fitted and evaluated on the train images of their classes. Every method gets the true number of
    classes; true labels are used for scoring only. Scores are of the plain view. Features are
    cached in ``cache``: a second call does not embed again, and an interrupted one resumes.

    Arguments:
        name: of the data set, one of `headlight.benchmark.datasets.DATASETS`.
        data: folder with its files as published.
        encoder: its name, or several joined by ``+``.
        views: augmented views of the images fitted on, besides the plain one; test images need
            none.
        recipe: ``robust`` or ``paper`` (which needs 1 view or more); None: both. ``robust`` alone
            gets views of as many images as it uses, ``paper`` of all.
        seeds: number of seeds, starting at 0.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        cache: folder for the features; ``./NAME.benchmark`` if omitted.
        out: file to write the result to: ``.md`` or ``.json``.
        stages: returns the progress callback of each stage (``embed``, ``fit``); ``fit`` counts
            fits.
        on_embedded: called with the `EmbedReport` of each split.

    Returns:
        As JSON has it: dataset, title, n_clusters; encoder, weights (SHA-256), engine, views,
        view_images (how many images have them, about; None: all), seeds; images and test_images,
        how many were used (test_images None: evaluated on the images fitted on); methods, for each
        its name and acc, nmi, ari and seconds of a fit as {mean, std, values}, std None with one
        seed; notes, sentences that belong to the scores; machine, versions. The first fit of a
        method includes imports, and UMAP's compilation.

    Raises:
        HeadlightError: an unknown data set, missing or damaged files, or impossible settings.
    """
    find_dataset(name)  # before anything else is looked at
    recipes, notes = _recipes(recipe, views)
    if seeds < 1:
        raise HeadlightError(f"--seeds {seeds}: give 1 or more")
    if out is not None and (out.suffix not in {".md", ".json"} or not out.parent.is_dir()):
        raise HeadlightError(f"--out {out}: give a .md or .json file in a folder that exists")
    folder = Path(f"{name}.benchmark") if cache is None else cache
    if folder.exists() and not folder.is_dir():
        raise HeadlightError(f"--cache {folder} is a file: give a folder")
    dataset = open_dataset(name, data)
    train, test = dataset.splits
    how: dict[str, Any] = {"encoder": encoder, "device": device}
    how |= {"stages": stages, "told": on_embedded}
    most = views_used(recipe) if recipe else None
    run, features, classes = _embedded(train, folder, "train", views=views, view_images=most, **how)
    reported: np.ndarray | None = None
    truth = classes
    if test is not None:
        _, kept, truth = _embedded(test, folder, "test", views=0, view_images=None, **how)
        reported = kept.plain

    methods = {f"headlight, {one}": _headlight(one, run, device) for one in recipes}
    methods["k-means"] = lambda x, k, seed: k_means(x.plain, k, seed)
    if has_umap():
        methods["UMAP + k-means"] = lambda x, k, seed: umap_k_means(x.plain, k, seed)
    else:
        notes.append(
            "UMAP + k-means is left out: pip install 'headlight-images[benchmarks]' adds it."
        )
    judged = compare(
        methods,
        features,
        reported,
        truth,
        n_clusters=dataset.n_clusters,
        seeds=seeds,
        progress=stages("fit") if stages else None,
    )
    settings = run.info.encoder
    result = {
        "dataset": name,
        "title": dataset.title,
        "n_clusters": dataset.n_clusters,
        "encoder": settings.name,
        "weights": settings.weights,
        "engine": settings.engine,
        "views": views,
        "view_images": run.features.settings.view_images,
        "seeds": seeds,
        "images": len(classes),
        "test_images": None if test is None else len(truth),
        "methods": judged,
        "notes": [*_about_images(dataset, len(classes), len(truth)), *notes],
        "machine": f"{platform.machine()}, {cpu_count()} cores",
        "versions": run.info.versions,
    }
    if out is not None:
        _write(result, out)
    return result


def spread(values: dict[str, Any], digits: int = 3) -> str:
    """Mean ± standard deviation as text; the mean alone if there is one seed."""
    text = f"{values['mean']:.{digits}f}"
    return text if values["std"] is None else f"{text} ± {values['std']:.{digits}f}"


def about(result: dict[str, Any]) -> str:
    """A sentence that describes the benchmark."""
    kept, viewed = result["test_images"], result["view_images"]
    judged = "evaluated on the same" if kept is None else f"evaluated on {kept:,} test images"
    views = f"{result['views']}" + (f" of about {viewed:,} images" if viewed else "")
    return (
        f"{result['title']}, K = {result['n_clusters']}: fitted on {result['images']:,} train "
        f"images, {judged}; encoder {result['encoder']}, "
        f"augmented views: {views}, seeds: {result['seeds']}"
    )


def _recipes(recipe: str | None, views: int) -> tuple[list[str], list[str]]:
    """The recipes to fit, and notes about those that are skipped."""
    if views < 0:
        raise HeadlightError(f"--views {views}: give 0 or more augmented views")
    if recipe is not None and recipe not in RECIPES:
        raise HeadlightError(f"--recipe {recipe}: give {' or '.join(RECIPES)}")
    if recipe == "paper" and not views:
        raise HeadlightError("--recipe paper learns from pairs of views: give --views 1 or more")
    if recipe is None and not views:
        return ["robust"], ["Recipe paper is left out: it needs --views 1 or more."]
    return list(RECIPES) if recipe is None else [recipe], []


def _embedded(
    source: ImageSource,
    cache: Path,
    split: str,
    *,
    encoder: str,
    views: int,
    view_images: int | None,
    device: str,
    stages: Stages | None,
    told: Callable[[EmbedReport], None] | None,
) -> tuple[Run, Features, np.ndarray]:
    """The run with a source's features; these; and true classes, (n,) str.

    Its folder is named after all that must be the same for features to be used again: other
    settings find, or make, a folder of their own.
    """
    encoders = load_encoders(encoder)
    short = re.sub(r"[^A-Za-z0-9@+.-]+", "-", encoders.name)[-60:]

    def folder(view_images: int | None) -> Path:
        same = [source.uri, encoders.name, encoders.weights_hash, str(views)]
        same += [] if view_images is None else [str(view_images)]
        key = hashlib.sha256("\n".join(same).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return cache / f"{split}-{short}-{views}-views-{key}.headlight"

    if view_images is not None and (source.count <= view_images or folder(None).exists()):
        view_images = None  # there are no more, or views of all are there already
    path = folder(view_images)
    progress = stages("embed") if stages else None
    run, report = embed_run(
        source,
        path,
        encoder=encoder,
        views=views,
        view_images=view_images,
        device=device,
        progress=progress,
    )
    if told:
        told(report)
    paths, features = run.features.load()
    labels = source.labels() or {}
    return run, features, np.array([labels[path] for path in paths.to_pylist()])


def _headlight(recipe: str, run: Run, device: str) -> Method:
    """headlight itself, with one of its recipes."""
    from headlight.clustering import SCP

    blocks = run.features.settings.dims or None

    def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
        scp = SCP(n_clusters, recipe=recipe, blocks=blocks, random_state=seed, device=device)
        scp.fit(features)
        return MethodFit(scp.labels_, scp.predict)

    return fit


def _about_images(dataset: Dataset, images: int, reported: int) -> Iterator[str]:
    """What keeps the scores from being comparable with published ones."""
    counts = [
        (kind, source.count, used, official)
        for kind, source, used, official in zip(
            ("train", "test"), dataset.splits, (images, reported), dataset.official, strict=True
        )
        if source is not None
    ]
    for kind, there, used, official in counts:
        if used < there:
            yield f"{counted(there - used, f'{kind} image')} could not be used."
        if there != official:
            yield (
                f"{dataset.title} has {official:,} {kind} images, but here there are {there:,}: "
                "these scores can't be compared with published ones."
            )


def _write(result: dict[str, Any], out: Path) -> None:
    if out.suffix == ".json":
        write_json(out, result)
        return
    with atomic(out) as temporary:
        temporary.write_text(_markdown(result), "utf-8")


def _markdown(result: dict[str, Any]) -> str:
    lines = [f"{about(result)}.", *result["notes"]]
    text = "\n".join(lines) + "\n\n| method | ACC | NMI | ARI | seconds per fit |\n"
    text += "| --- | --- | --- | --- | --- |\n"
    for row in result["methods"]:
        cells = [row["method"], *(spread(row[name]) for name in SCORES), spread(row["seconds"], 1)]
        text += f"| {' | '.join(cells)} |\n"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return text + f"\nMean ± standard deviation over seeds. {result['machine']}; {versions}.\n"
