"""The graph of nearest neighbours, and its eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import CHUNK, Features, sample
from headlight.clustering.neighbours import NeighbourIndex
from headlight.clustering.projection import Projection
from headlight.clustering.threads import one_blas_thread

DENSE = 500


@dataclass(frozen=True)
class Graph:
    """Rows and their nearest neighbours among each other.

    Arguments:
        points: projected features, n rows of length 1.
        neighbours: int64 (n, k), of the plain rows, nearest first.
        similarities: float32 (n, k), cosines.
        index: what finds neighbours of other rows.
    """

    points: Features
    neighbours: torch.Tensor
    similarities: torch.Tensor
    index: NeighbourIndex

    def near(self, n_clusters: int) -> torch.Tensor:
        """Neighbours that are likely in the same cluster: int64 (n, m), nearest first.

        At most half the mean cluster size: on little data 15 neighbours reach into every other
        cluster, and all rows would end in one.
        """
        return self.neighbours[:, : max(1, len(self.points) // (2 * n_clusters))]

    def edges(self, n_clusters: int) -> sp.csr_matrix:
        """The edges to `near`, each of the same weight: float32 (n, n), symmetric, sum 1."""
        near = self.near(n_clusters).numpy()
        n, m = near.shape
        weights = np.full(n * m, 1 / (2 * n * m), dtype=np.float32)
        there = sp.csr_matrix((weights, near.ravel(), np.arange(0, n * m + 1, m)), shape=(n, n))
        return there + there.T

    def outlier_scores(
        self, features: Features, projection: Projection, rows: np.ndarray, near: int
    ) -> np.ndarray:
        """Mean cosine distance of every row of `features` to its `near` nearest: float32 (n,).

        Arguments:
            features: all rows, of which the graph holds `rows`.
            projection: what made the graph's rows of them.
            rows: int64, sorted.
            near: neighbours that count.
        """
        scores = np.empty(len(features), dtype=np.float32)
        scores[rows] = 1 - self.similarities[:, :near].mean(dim=1).numpy()
        others = np.setdiff1d(np.arange(len(features)), rows, assume_unique=True)
        for start in range(0, len(others), CHUNK):
            picked = others[start : start + CHUNK]
            near_others, _ = self.index.search(projection(features.rows(picked)), near)
            scores[picked] = 1 - near_others.clip(-1, 1).mean(axis=1)
        return scores


def neighbour_graph(points: Features, n_neighbors: int = ROBUST.graph_neighbors) -> Graph:
    """The graph of each row's `n_neighbors` nearest others, by cosine.

    Arguments:
        points: projected, n rows of length 1, as float16 or float32 tensors.
        n_neighbors: as many, or all other rows.
    """
    index = NeighbourIndex(points.plain)
    return Graph(points, *index.among_themselves(points.plain, n_neighbors), index)


class Spectrum:
    """Leading eigenvalues and vectors of a graph, solved once and only when they are asked for.

    Arguments:
        whole: a graph of any size; at most `spectrum_rows` of its rows are looked at.
    """

    def __init__(self, whole: Graph, constants: Constants = ROBUST) -> None:
        self._whole, self._constants = whole, constants
        self._values = np.empty(0)
        self._vectors = np.empty((0, 0))

    @cached_property
    def graph(self) -> Graph:
        """The graph of the rows looked at."""
        n, most = len(self._whole.points), self._constants.spectrum_rows
        if n <= most:
            return self._whole
        drawn = torch.from_numpy(sample(n, most))
        return neighbour_graph(
            Features(self._whole.points.plain[drawn]), self._constants.graph_neighbors
        )

    @cached_property
    def _edges(self) -> sp.csr_matrix:
        return affinity(self.graph, self._constants.scale_neighbor)

    def leading(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Float64 eigenvalues (m,) and vectors (n, m), largest first; m = count, n at most."""
        count = min(count, len(self.graph.points))
        if len(self._values) < count:
            self._values, self._vectors = spectral_pairs(self._edges, count)
        return self._values[:count], self._vectors[:, :count]


def affinity(graph: Graph, scale_neighbor: int = ROBUST.scale_neighbor) -> sp.csr_matrix:
    """The graph made symmetric and weighted by local scale: float64 (n, n).

    exp(−d²/(σ_i σ_j)) with σ the distance to the neighbour `scale_neighbor`, counted from 0.
    Source: "Self-Tuning Spectral Clustering", Zelnik-Manor and Perona, NIPS 2004.
    """
    near = graph.neighbours
    n, k = near.shape
    squared = (2 - 2 * graph.similarities).clamp_min_(1e-6).double()
    scale = squared[:, min(scale_neighbor, k - 1)].sqrt()
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
    # float32: half the time and memory, and the same vectors to five digits.
    first = np.random.default_rng(0).normal(size=normal.shape[0]).astype(np.float32)
    with one_blas_thread():
        values, vectors = eigsh(normal.astype(np.float32), k=count, which="LA", v0=first, tol=1e-4)
    order = np.argsort(-values)
    return values[order].astype(np.float64), vectors[:, order].astype(np.float64)
