from __future__ import annotations

import numpy as np
import pytest


def blobs(n: int = 240, n_clusters: int = 4, dim: int = 50, views: int = 1, seed: int = 0):
    """Well separated clusters: features (n, views, dim) float16, and their classes (n,)."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % n_clusters
    centres = 2.0 * rng.standard_normal((n_clusters, 1, dim))
    points = centres[classes] + 0.5 * rng.standard_normal((n, views, dim))
    return points.astype(np.float16), classes


@pytest.fixture(scope="session")
def make_blobs():
    return blobs
