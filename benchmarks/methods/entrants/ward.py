"""Agglomerative clustering with Ward's criterion."""

from __future__ import annotations

import warnings

from scipy.sparse import csr_matrix
from sklearn.cluster import AgglomerativeClustering

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features
from benchmarks.methods.entrants.spectral import N_NEIGHBORS, neighbour_graph

EXACT = 20_000


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    Up to 20,000 images any two clusters may merge; beyond, where the distances of all pairs would
    fill the memory, only those joined in the graph of 15 nearest neighbours.
    """
    points = features.unit()
    graph = None
    if len(points) > EXACT:
        graph = csr_matrix(neighbour_graph(points, N_NEIGHBORS))
    ward = AgglomerativeClustering(n_clusters, linkage="ward", connectivity=graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a graph in several parts is completed
        return MethodFit(ward.fit_predict(points))
