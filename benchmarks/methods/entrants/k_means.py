"""k-means: FAISS, the best of 10 starts, 50 iterations, Euclidean, every row used."""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import MethodFit, Space, k_means

NAME = "k-means"


def fit(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`."""
    space = Space(features, seed)
    labels, assign = k_means(space.points(), n_clusters, seed)
    return MethodFit(labels, lambda other: assign(space.new(other)))
