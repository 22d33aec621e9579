from __future__ import annotations

import numpy as np
import pytest


def blobs(sizes: list[int], dim: int = 50, views: int = 1, seed: int = 0):
    """Well separated clusters of the given sizes: features (n, views, dim) and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(labels)
    centres = rng.normal(size=(len(sizes), dim)) * 2
    points = centres[labels][:, None] + rng.normal(size=(len(labels), views, dim))
    return points.astype(np.float32), labels


@pytest.fixture(scope="session")
def make_blobs():
    return blobs
