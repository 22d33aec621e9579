"""UMAP, then HDBSCAN: it finds its own number of clusters, and leaves noise."""

from __future__ import annotations

from sklearn.cluster import HDBSCAN

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features
from benchmarks.methods.embedding import umap_embedding

WARM_UP = True


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    A cluster holds at least 10 images, or a five-hundredth of all; 10 neighbours give the
    density, as in UMAP's guide to clustering. `n_clusters` is not used. Noise stays -1, and is
    scored as one more cluster.
    """
    embedding, _ = umap_embedding(features.unit(), seed)
    smallest = max(10, len(embedding) // 500)
    hdbscan = HDBSCAN(min_cluster_size=smallest, min_samples=10, n_jobs=-1, copy=False)
    return MethodFit(hdbscan.fit_predict(embedding))
