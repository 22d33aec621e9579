"""Spectral clustering on the graph of nearest neighbours (Ng, Jordan, Weiss, NIPS 2001)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from benchmarks.methods.base import MethodFit, Space, k_means_plus_plus, nearest
from headlight.clustering.graph import spectral_pairs

NAME = "spectral"
N_NEIGHBORS = 15


def fit(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    The graph joins each image with its 15 nearest, both ways, all edges alike. The rows of the
    n_clusters leading eigenvectors of D^-1/2 A D^-1/2, scaled to length 1, go to k-means.
    """
    points = Space(features, seed).points()
    graph = neighbour_graph(points, N_NEIGHBORS)
    _, vectors = spectral_pairs(graph, min(n_clusters, len(points) - 1))
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    labels, _ = k_means_plus_plus(rows, n_clusters, seed)
    return MethodFit(labels)


def neighbour_graph(points: np.ndarray, k: int) -> csr_array:
    """Symmetric graph (n, n) of ones: an edge where either is among the other's k nearest."""
    neighbours, _ = nearest(points, k)
    n, k = neighbours.shape
    start = np.arange(0, n * k + 1, k)
    graph = csr_array((np.ones(n * k), neighbours.ravel(), start), shape=(n, n))
    return graph.maximum(graph.T).tocsr()
