"""The features of a run's images, in the order of its assignments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from headlight.errors import HeadlightError
from headlight.runs.run import Run

if TYPE_CHECKING:
    from headlight.features import FeatureStore
    from headlight.images import ImageSource


def plain_batches(run: Run) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features of the plain views, in batches of a few thousand rows, in the order on disk.

    Arguments:
        run: fitted.

    Returns:
        Iterator of rows of ``run.assignments``, int64 (m,), and their features, float16 (m, dim).
        Every row comes exactly once; images embedded after the fit are left out.

    Raises:
        HeadlightError: the features are missing or damaged, or images of the assignments have none.
    """
    store = run.features
    paths = run.assignments["path"].combine_chunks()
    found = 0
    for batch, (vectors,) in store.scan((0,)):
        places = pc.index_in(batch["path"], paths).to_numpy(zero_copy_only=False)
        there = ~np.isnan(places.astype(np.float64))
        found += int(there.sum())
        yield places[there].astype(np.int64), vectors[there]
    if found != len(paths):
        raise HeadlightError(
            f"{store.path} has features of only {found:,} of the {len(paths):,} clustered images: "
            "fit the run again"
        )


def features_digest(store: FeatureStore) -> str:
    """SHA-256 of which images were embedded and by what: a fit of other features is outdated.

    Arguments:
        store: the features.
    """
    rows = store.rows("id", "stamp")
    ids, stamps = rows["id"].to_numpy(), rows["stamp"].to_numpy()
    order = np.argsort(ids, kind="stable")
    made = store.settings
    settings = (made.weights, made.engine, made.views, made.view_images)
    return hashlib.sha256(
        repr(settings).encode() + ids[order].tobytes() + stamps[order].tobytes()
    ).hexdigest()


def in_step(run: Run, source: ImageSource) -> bool:
    """Whether the run has the features of just the images of ``source``, as these are now.

    Images that could not be used don't count. False where the run's files can't be read.
    """
    try:
        unusable = set(run.quarantine["path"].to_pylist())
        rows = run.features.rows("id", "stamp")
    except HeadlightError:  # embedding makes them again, or says what is wrong
        return False
    stored = dict(zip(rows["id"].to_pylist(), rows["stamp"].to_pylist(), strict=True))
    found = 0
    for ref in source:
        if stored.get(ref.id) == ref.stamp:
            found += 1
        elif ref.path not in unusable:
            return False
    return found == len(stored)


def plain_features(run: Run) -> np.ndarray:
    """All of `plain_batches` in one array: float16 (n, dim)."""
    features = np.empty((len(run.assignments), run.features.settings.dim), np.float16)
    for rows, vectors in plain_batches(run):
        features[rows] = vectors
    return features
