"""The features of a run's images, in the order of its assignments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.errors import HeadlightError
from headlight.runs.image_keys import as_numpy, sorted_images
from headlight.runs.run import Run

if TYPE_CHECKING:
    from headlight.features import FeatureStore
    from headlight.images import ImageSource


def plain_batches(run: Run) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`batches_of` the images of ``run.assignments``."""
    return batches_of(run.features, run.assignments["path"].combine_chunks())


def batches_of(store: FeatureStore, paths: pa.Array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features of the plain views, in batches of a few thousand rows, in the order on disk.

    Arguments:
        store: the features.
        paths: (n,) of the images wanted, each once.

    Returns:
        Iterator of places in ``paths``, int64 (m,), and the features of these images, float16
        (m, dim). Every place comes exactly once; other images are left out.

    Raises:
        HeadlightError: the features are missing or damaged, or some of the images have none.
    """
    found = 0
    for batch, (vectors,) in store.scan((0,)):
        places = pc.index_in(batch["path"], paths).to_numpy(zero_copy_only=False)
        there = ~np.isnan(places.astype(np.float64))
        found += int(there.sum())
        yield places[there].astype(np.int64), vectors[there]
    if found != len(paths):
        raise HeadlightError(
            f"{store.path} has features of only {found:,} of the {len(paths):,} clustered images: "
            f"run `headlight update {store.path.parent}`"
        )


def plain_features(run: Run) -> np.ndarray:
    """Those of the images of ``run.assignments``: float16 (n, dim)."""
    store, paths = run.features, run.assignments["path"].combine_chunks()
    features = np.empty((len(paths), store.settings.dim), np.float16)
    for rows, vectors in batches_of(store, paths):
        features[rows] = vectors
    return features


def features_digest(store: FeatureStore) -> str:
    """SHA-256 of which images were embedded and by what: a fit of other features is outdated.

    Arguments:
        store: the features.
    """
    paths, keys = sorted_images(store.rows("path", "content"))
    made = store.settings
    settings = (made.weights, made.engine, made.views, made.view_images)
    hashed = hashlib.sha256(repr(settings).encode())
    hashed.update("\0".join(paths.to_pylist()).encode())
    hashed.update(as_numpy(keys).tobytes())
    return hashed.hexdigest()


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
