"""From features to clusters: trains the head of a run and saves what it says."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np

from headlight.encoders import part_names
from headlight.errors import HeadlightError
from headlight.features import Stages
from headlight.runs.fits import save_fit
from headlight.runs.map import image_map, map_points
from headlight.runs.projected import project
from headlight.runs.run import Run, load_run, locked
from headlight.runs.tables import assignments_table, clusters_table

Clusters = int | Literal["auto"]


def check_clusters(n_clusters: Clusters, images: int | None = None) -> None:
    """Refuses a number of clusters that can't be, before any work is done; ``auto`` needs 2 images.

    Raises:
        HeadlightError: fewer than 2, or more than there are images.
    """
    if n_clusters == "auto":
        n_clusters = 2
    if n_clusters < 2:
        raise HeadlightError(f"-k {n_clusters}: give 2 clusters or more")
    if images is not None and images < n_clusters:
        raise HeadlightError(
            f"{images} images can't make {n_clusters} clusters: give a smaller -k or more images"
        )


def fit_run(
    run: Run,
    n_clusters: Clusters = "auto",
    *,
    recipe: str = "robust",
    seed: int = 0,
    device: str = "auto",
    discard_edits: bool = False,
    stages: Stages | None = None,
) -> Run:
    """Trains a head on the features of ``run`` and makes the result the current fit.

    Arguments:
        run: holds the features.
        n_clusters: K, at least 2, or ``auto``: as many as the features show.
        recipe: ``robust`` or ``paper``; see `headlight.SCP`.
        seed: of everything random in training.
        device: where to train.
        discard_edits: never continue the edits of an equal fit.
        stages: called with ``fit`` and ``map``; returns what each reports progress to.

    Returns:
        The run, opened again.

    Raises:
        HeadlightError: the features can't be clustered so.
    """
    from headlight.clustering import SCP

    check_clusters(n_clusters, run.info["source"]["images"])
    settings: dict[str, Any] = {
        "asked": n_clusters, "recipe": recipe, "seed": seed, "device": device
    }  # fmt: skip
    with locked(run.path):
        store = run.features
        paths, stored = store.load()
        features = stored.plain
        blocks = store.settings.dims or None
        scp = SCP(n_clusters, recipe=recipe, blocks=blocks, random_state=seed, device=device)
        started = time.perf_counter()
        try:
            X, augmented = stored.to_fit()
            scp.fit(X, augmented=augmented, progress=stages("fit") if stages else None)
        except ValueError as error:
            raise HeadlightError(f"{run.path}: {error}") from error
        seconds = time.perf_counter() - started
        probabilities = scp.predict_proba(features)
        if stages:
            stages("map")
        started = time.perf_counter()
        projection = scp.projection_
        rows = project(features, projection.mean.numpy(), projection.components.numpy())
        xy = image_map(map_points(rows), scp.labels_)
        mapped = time.perf_counter() - started
        assignments = assignments_table(
            paths, probabilities, scp.outlier_scores_, scp.near_duplicates_, xy
        )
        clusters = clusters_table(assignments, rows, scp.cluster_quality_)
        confidence = float(assignments["confidence"].to_numpy().mean())
        current = load_run(run.path)
        info = dict(current.info)
        info["fit"] = {"id": "", "images": len(features), "loss": float(scp.loss_), **settings}
        info["fit"]["n_clusters"] = scp.n_clusters_
        if blocks:
            names = part_names(store.settings.encoder)
            if len(names) != len(blocks):  # a file with a + in its name is no longer there
                names = [f"encoder {i + 1}" for i in range(len(blocks))]
            left_out = [names[i] for i in np.flatnonzero(~scp.blocks_used_)]
            info["fit"]["encoders_left_out"] = left_out
        if n_clusters == "auto":
            count = scp.n_clusters_count_
            info["fit"]["n_clusters_range"] = [count.low, count.high]
            info["fit"]["n_clusters_curve"] = [round(float(value), 4) for value in count.curve]
        took = {"fit": {"seconds": round(seconds, 2)}, "map": {"seconds": round(mapped, 2)}}
        info["timings"] = info.get("timings", {}) | took
        information = float(scp.head_scores_[scp.chosen_head_])
        info["scores"] = {
            "mean_confidence": round(confidence, 4),
            "graph_information": round(information, 4),
        }
        save_fit(current, info, scp, assignments, clusters, discard_edits=discard_edits)
    return load_run(run.path)


def refuse_other_fit(run: Run, n_clusters: Clusters, recipe: str, seed: int) -> None:
    """Keeps `cluster` from replacing a clustering made with other settings.

    Raises:
        HeadlightError: the run has one; the message gives the command that replaces it.
    """
    if not run.fitted:
        return
    fit = run.info["fit"]
    wanted = {
        "-k": (fit.get("asked", fit["n_clusters"]), n_clusters),
        "recipe": (fit["recipe"], recipe),
        "seed": (fit["seed"], seed),
    }
    other = [f"{name} {had}, not {new}" for name, (had, new) in wanted.items() if had != new]
    if other:
        raise HeadlightError(
            f"{run.path} already holds clusters with {'; '.join(other)}: "
            f"`headlight fit {run.path} -k {n_clusters}` replaces them, or choose another -o"
        )
