from __future__ import annotations

import numpy as np
import pytest

from benchmarks.methods.data import Features


def blobs(
    n: int = 240,
    n_clusters: int = 4,
    dim: int = 50,
    views: int = 0,
    every: int = 2,
    seed: int = 0,
):
    """Well separated clusters: features, every second row with views if any, and classes (n,)."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % n_clusters
    centres = 2.0 * rng.standard_normal((n_clusters, 1, dim))
    points = centres[classes] + 0.5 * rng.standard_normal((n, 1 + views, dim))
    points = points.astype(np.float16)
    viewed = np.arange(0, n, every) if views else np.arange(0)
    return Features(points[:, 0], points[viewed, 1:], viewed), classes


@pytest.fixture(scope="session")
def make_blobs():
    return blobs


@pytest.fixture
def blobs_file(tmp_path, make_blobs):
    """Writes blobs as a file of features; returns its path."""

    def write(name: str, **arguments):
        features, classes = make_blobs(**arguments)
        given = {"views": features.views, "viewed": features.viewed} if len(features.viewed) else {}
        np.savez(tmp_path / f"{name}.npz", x=features.plain, y=classes, **given)
        return str(tmp_path / f"{name}.npz")

    return write
