"""UMAP, then k-means: what practitioners run today."""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import MethodFit, Space, k_means_plus_plus
from benchmarks.methods.embedding import umap_embedding

NAME = "umap+kmeans"
WARM_UP = True


def fit(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`. New images go through UMAP's `transform`."""
    space = Space(features, seed)
    embedding, reducer = umap_embedding(space.points(), seed)
    labels, assign = k_means_plus_plus(embedding, n_clusters, seed)
    return MethodFit(labels, lambda other: assign(reducer.transform(space.new(other))))
