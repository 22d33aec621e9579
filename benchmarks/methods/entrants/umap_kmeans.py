"""UMAP, then k-means, the best of 10 starts: what practitioners run today."""

from __future__ import annotations

from benchmarks.methods.base import MethodFit, k_means
from benchmarks.methods.data import Features, unit
from benchmarks.methods.embedding import umap_embedding

WARM_UP = True


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`. New images go through UMAP's `transform`."""
    embedding, reducer = umap_embedding(features.unit(), seed)
    labels, assign = k_means(embedding, n_clusters, seed)
    return MethodFit(labels, lambda plain: assign(reducer.transform(unit(plain))))
