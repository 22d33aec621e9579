"""Eigenvectors of the neighbour graph: what it says of groups before any is made."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh

from headlight.clustering.graph import Graph

SAMPLE = 20_000
# The neighbour whose distance is a row's own scale (7 in Zelnik-Manor and Perona).
SCALE_NEIGHBOUR = 6
DENSE = 500


class Spectrum:
    """Leading eigenvalues and vectors of a graph, solved once and only when they are asked for.

    Arguments:
        whole: a graph of any size; at most 20,000 of its rows are looked at.
    """

    def __init__(self, whole: Graph) -> None:
        self._whole = whole
        self._values = np.empty(0)
        self._vectors = np.empty((0, 0))

    @cached_property
    def graph(self) -> Graph:
        """The graph of the rows looked at."""
        return self._whole.sample(SAMPLE)

    @cached_property
    def _edges(self) -> sp.csr_matrix:
        return affinity(self.graph)

    def leading(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Float64 eigenvalues (m,) and vectors (n, m), largest first; m = count, n at most."""
        count = min(count, len(self.graph.rows))
        if len(self._values) < count:
            self._values, self._vectors = spectral_pairs(self._edges, count)
        return self._values[:count], self._vectors[:, :count]


def affinity(graph: Graph) -> sp.csr_matrix:
    """The graph made symmetric and weighted by local scale: float64 (n, n).

    exp(−d²/(σ_i σ_j)) with σ the distance to the seventh neighbour. Source: "Self-Tuning Spectral
    Clustering", Zelnik-Manor and Perona, NIPS 2004.
    """
    near = graph.neighbours
    n, k = near.shape
    squared = (2 - 2 * graph.similarities).clamp_min_(1e-6).double()
    scale = squared[:, min(SCALE_NEIGHBOUR, k - 1)].sqrt()
    weights = torch.exp(-squared / (scale[:, None] * scale[near]))
    start = np.arange(0, n * k + 1, k)
    edges = sp.csr_matrix((weights.numpy().ravel(), near.numpy().ravel(), start), shape=(n, n))
    return (edges + edges.T) / 2


def spectral_pairs(edges: sp.csr_matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues (count,) and vectors (n, count) of D^-½ A D^-½, float64, largest first.

    Each connected part of the graph is solved alone: together they share the eigenvalue 1, of
    which Lanczos finds only some copies.
    Source: "On Spectral Clustering: Analysis and an algorithm", Ng, Jordan and Weiss, NIPS 2001.
    """
    scale = sp.diags(1 / np.sqrt(np.asarray(edges.sum(axis=1)).ravel() + 1e-12))
    normal = (scale @ edges @ scale).tocsr()
    n_parts, part = connected_components(normal, directed=False)
    found = []
    for number in range(n_parts):
        rows = np.flatnonzero(part == number)
        block = normal if n_parts == 1 else normal[rows][:, rows]
        found.append((rows, *_leading_pairs(block, min(count, len(rows)))))
    every = np.concatenate([values for _, values, _ in found])
    kept = np.argsort(-every, kind="stable")[:count]
    vectors = np.zeros((normal.shape[0], len(kept)))
    first = 0
    for rows, values, block_vectors in found:
        here = np.flatnonzero((kept >= first) & (kept < first + len(values)))
        vectors[np.ix_(rows, here)] = block_vectors[:, kept[here] - first]
        first += len(values)
    return every[kept], vectors


def _leading_pairs(normal: sp.csr_matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    if normal.shape[0] <= max(DENSE, 2 * count):
        values, vectors = np.linalg.eigh(normal.toarray())
        return values[::-1][:count], vectors[:, ::-1][:, :count]
    first = np.random.default_rng(0).normal(size=normal.shape[0])
    values, vectors = eigsh(normal, k=count, which="LA", v0=first, tol=1e-4)
    order = np.argsort(-values)
    return values[order], vectors[:, order]
