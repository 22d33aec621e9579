"""Spectral clustering on the graph of nearest neighbours (Ng, Jordan, Weiss, NIPS 2001)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh

from benchmarks.methods.base import Fitted, Space, k_means_plus_plus, nearest

NAME = "spectral"
N_NEIGHBORS = 15


def fit(features: np.ndarray, n_clusters: int, seed: int) -> Fitted:
    """See `benchmarks.methods`.

    The graph joins each image with its 15 nearest, both ways, all edges alike. The rows of the
    n_clusters leading eigenvectors of D^-1/2 A D^-1/2, scaled to length 1, go to k-means.
    """
    points = Space(features, seed).points()
    graph = neighbour_graph(points, N_NEIGHBORS)
    root = diags_array(1 / np.sqrt(graph.sum(axis=1)))
    # Plus the identity: all eigenvalues are then positive, and "largest" is what we mean.
    operator = root @ graph @ root + diags_array(np.ones(len(points)))
    start = np.random.default_rng(seed).standard_normal(len(points))
    k = min(n_clusters, len(points) - 1)
    _, vectors = eigsh(operator, k=k, which="LA", v0=start, tol=1e-4, ncv=max(2 * k + 1, 40))
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    labels, _ = k_means_plus_plus(rows, n_clusters, seed)
    return Fitted(labels)


def neighbour_graph(points: np.ndarray, k: int) -> csr_array:
    """Symmetric graph (n, n) of ones: an edge where either is among the other's k nearest."""
    neighbours, _ = nearest(points, k)
    n, k = neighbours.shape
    start = np.arange(0, n * k + 1, k)
    graph = csr_array((np.ones(n * k), neighbours.ravel(), start), shape=(n, n))
    return graph.maximum(graph.T).tocsr()
