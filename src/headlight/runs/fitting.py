"""From features to clusters: trains the head of a run and saves the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.compute as pc

from headlight.counts import counted
from headlight.encoders import part_names
from headlight.errors import HeadlightError
from headlight.features import Stages
from headlight.runs.duplicates import near_duplicates
from headlight.runs.features import features_digest
from headlight.runs.files import FITS
from headlight.runs.fits import save_fit
from headlight.runs.image_keys import as_numpy, sorted_images
from headlight.runs.info import Timing
from headlight.runs.map import image_map, map_points
from headlight.runs.projected import project
from headlight.runs.run import Run, load_run, locked
from headlight.runs.tables import assignments_table, clusters_table, columns_of_two, numbered

if TYPE_CHECKING:
    from headlight.clustering import SCP

Clusters = int | Literal["auto"]


@dataclass(frozen=True)
class Joining:
    """How a fit joins a review, so that its edits apply to it.

    Arguments:
        review: the fit that began it.
        numbers: keys of the images, uint8 (n, 16), and their clusters, int64 (n,), to the number of
            each cluster, int32 (K,).
        next_group: the first number that no cluster of the review has had.
    """

    review: str
    numbers: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    next_group: int


def check_clusters(n_clusters: Clusters, images: int | None = None) -> None:
    """Refuse an impossible number of clusters before any work is done; ``auto`` needs 2 images.

    Raises:
        HeadlightError: fewer than 2, or more than there are images.
    """
    least = 2 if n_clusters == "auto" else n_clusters
    if least < 2:
        raise HeadlightError(f"-k {n_clusters}: give 2 clusters or more")
    if images is not None and images < least:
        there = counted(images, "image")
        if least == 2:
            raise HeadlightError(f"{there}: clustering needs at least 2; add images to the source")
        raise HeadlightError(f"{there} for {n_clusters} clusters: give a smaller -k or more images")


def fit_run(
    run: Run,
    n_clusters: Clusters = "auto",
    *,
    recipe: str = "robust",
    seed: int = 0,
    device: str = "auto",
    set_aside: bool = False,
    joining: Joining | None = None,
    stages: Stages | None = None,
) -> Run:
    """Train a head on the features of ``run`` and make the result the current fit.

    See `headlight.review.fit_again` for runs that people have edited.

    Arguments:
        run: a run with features.
        n_clusters: K, at least 2, or ``auto``, to estimate it from the features.
        recipe: ``robust`` or ``paper``; see `headlight.SCP`.
        seed: of all randomness in training.
        device: where to train.
        set_aside: the current fit has edits; they must not apply to an equal fit.
        joining: the edits do apply, and the result is only kept, beside the current fit.
        stages: called with ``fit`` and ``map``; returns the progress callback of each.

    Returns:
        The run, opened again, at this fit.

    Raises:
        HeadlightError: the features can't be clustered with these settings.
    """
    from headlight.clustering import SCP

    check_clusters(n_clusters, run.info.source.images)
    settings: dict[str, Any] = {
        "asked": n_clusters, "recipe": recipe, "seed": seed, "device": device
    }  # fmt: skip
    with locked(run.path):
        store = run.features
        # By content: where the images lie, and what they are called, changes no cluster.
        paths, stored = store.load(by_content=True)
        plain = stored.plain
        if len(plain) != run.info.source.images:
            raise HeadlightError(
                f"{store.path} has {counted(len(plain), 'row')} for the "
                f"{counted(run.info.source.images, 'image')} of {run.path}, as after an "
                "interrupted update: run the `headlight cluster` or `embed` of before again"
            )
        blocks = store.settings.dims or None
        scp = SCP(n_clusters, recipe=recipe, blocks=blocks, random_state=seed, device=device)
        started = time.perf_counter()
        try:
            scp.fit(stored, progress=stages("fit") if stages else None)
        except ValueError as error:
            raise HeadlightError(f"{run.path}: {error}") from error
        seconds = time.perf_counter() - started
        columns = columns_of_two(*scp.best_two(plain))
        if stages:
            stages("map")
        started = time.perf_counter()
        mean, axes = scp.projection_.mean.numpy(), scp.projection_.components.numpy()
        rows = project(plain, mean, axes)
        xy = image_map(map_points(rows), scp.labels_)
        mapped = time.perf_counter() - started
        duplicates = near_duplicates(plain, rows, mean)
        named, keys = sorted_images(store.rows("path", "content"))
        by_path = pc.index_in(named, paths)
        images = keys.take(pc.index_in(paths, named))
        assignments = assignments_table(
            paths,
            images,
            columns,
            outliers=scp.outlier_scores_,
            duplicates=duplicates,
            xy=xy,
        )
        clusters = clusters_table(assignments, rows, scp.cluster_quality_)
        confidence = float(assignments["confidence"].to_numpy().mean())
        fit = settings | {
            "images": len(plain),
            "features": features_digest(store),
            "n_clusters": scp.n_clusters_,
            "mean_confidence": round(confidence, 4),
            "graph_information": round(scp.graph_information_, 4),
        }
        fit |= _about(scp, store.settings.encoder)
        current = load_run(run.path)
        if joining:
            groups = joining.numbers(as_numpy(images), scp.labels_, scp.n_clusters_)
            assignments, clusters = numbered(assignments, clusters, groups)
            fit |= {
                "review": joining.review,
                "groups": tuple(groups.tolist()),
                "next_group": max(joining.next_group, int(groups.max()) + 1),
            }
        else:
            fit |= {"next_group": scp.n_clusters_} | _former(current, set_aside)
        took = {"fit": Timing(seconds=round(seconds, 2)), "map": Timing(seconds=round(mapped, 2))}
        info = current.info.model_copy(update={"timings": current.info.timings | took})
        record = save_fit(
            current,
            info,
            fit,
            scp,
            assignments=assignments.take(by_path),
            clusters=clusters,
            current=joining is None,
        )
    now = load_run(run.path)
    return Run(now.path, now.info.model_copy(update={"fit": record}))


def _about(scp: SCP, encoder: str) -> dict[str, Any]:
    """What the estimator found besides clusters: encoders left out, and the number of clusters."""
    fit: dict[str, Any] = {}
    if scp.blocks:
        names = part_names(encoder)
        if len(names) != len(scp.blocks):  # a file with a + in its name is no longer there
            names = [f"encoder {i + 1}" for i in range(len(scp.blocks))]
        left_out = np.flatnonzero(~scp.blocks_used_)
        fit["encoders_left_out"] = tuple(names[i] for i in left_out)
    if scp.n_clusters == "auto":
        estimate = scp.n_clusters_estimate_
        fit["n_clusters_range"] = (estimate.low, estimate.high)
        fit["n_clusters_levels"] = tuple(one.n_clusters for one in estimate.levels)
        fit["n_clusters_curve"] = tuple(
            (one.n_clusters, round(one.score, 4)) for one in estimate.curve
        )
    return fit


def _former(run: Run, set_aside: bool) -> dict[str, Any]:
    """What makes the id differ from that of a fit whose edits were set aside."""
    if not (former := run.info.fit):
        return {}
    if set_aside:
        return {"former": former.id, "series": len(list((run.path / FITS).iterdir()))}
    # The same command again must not return to the fit that was edited.
    return {"former": former.former, "series": former.series}


def refuse_other_fit(
    run: Run, n_clusters: Clusters, recipe: str, seed: int, *, living: bool
) -> None:
    """Keep `cluster` from replacing clusters made with other settings.

    Arguments:
        run, n_clusters, recipe, seed: what it was asked.
        living: people have edited the run.

    Raises:
        HeadlightError: the run has one; the message gives the command that replaces it.
    """
    if not (fit := run.info.fit):
        return
    wanted = {
        "-k": (fit.asked, n_clusters),
        "recipe": (fit.recipe, recipe),
        "seed": (fit.seed, seed),
    }
    other = [f"{name} {had}, not {new}" for name, (had, new) in wanted.items() if had != new]
    if other:
        again = f"`headlight fit {run.path} -k {n_clusters} --recipe {recipe} --seed {seed}`"
        raise HeadlightError(
            f"{run.path} already holds clusters with {'; '.join(other)}: "
            + (
                f"`headlight update {run.path}` brings new images into its groups, {again} "
                "clusters it again beside them, or choose another -o"
                if living
                else f"{again} replaces them, or choose another -o"
            )
        )
