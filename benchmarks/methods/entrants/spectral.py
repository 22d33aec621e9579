"""Spectral clustering on the graph of nearest neighbours (Ng, Jordan, Weiss, NIPS 2001)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh
from sklearn.preprocessing import normalize

from benchmarks.methods.base import MethodFit, k_means, nearest
from benchmarks.methods.data import Features

N_NEIGHBORS = 15


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    The graph joins each image with its 15 nearest, both ways, all edges alike. The rows of the
    n_clusters leading eigenvectors of D^-1/2 A D^-1/2, scaled to length 1, go to k-means.
    """
    graph = neighbour_graph(features.unit(), N_NEIGHBORS)
    scale = diags_array(graph.sum(axis=1) ** -0.5)
    start = np.random.default_rng(seed).standard_normal(len(features))
    _, vectors = eigsh(
        scale @ graph @ scale, min(n_clusters, len(features) - 1), which="LA", v0=start
    )
    labels, _ = k_means(normalize(vectors), n_clusters, seed)
    return MethodFit(labels)


def neighbour_graph(points: np.ndarray, k: int) -> csr_array:
    """Symmetric graph (n, n) of ones: an edge where either is among the other's k nearest."""
    neighbours, _ = nearest(points, k)
    n, k = neighbours.shape
    start = np.arange(0, n * k + 1, k)
    graph = csr_array((np.ones(n * k), neighbours.ravel(), start), shape=(n, n))
    return graph.maximum(graph.T).tocsr()
