"""Compares clusterings of the same rows without labels, on each other's neighbour graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headlight.clustering.information import edge_shares, graph_information


@dataclass(frozen=True)
class Clustering:
    """A clustering of some rows, and the neighbour graph of its features.

    Arguments:
        labels: int64 (n,), 0 to K − 1.
        neighbours: int64 (n, k), of the projected features.
    """

    labels: np.ndarray
    neighbours: torch.Tensor


def shares_explained(clustered: Sequence[Clustering], n_clusters: int) -> np.ndarray:
    """How well clustering i explains graph j, as a share of what j's own does: float64 (m, m).

    I(i, j) / I(j, j), 1 at most, with I the `graph_information` of clustering i on graph j. I alone
    is not comparable between feature spaces, because a space with few directions has a simple
    graph, on which any clustering looks good.

    Arguments:
        clustered: m of the same rows, in the same order.
        n_clusters: K, the same for all.
    """
    found = np.array(
        [
            [
                graph_information(edge_shares(one.labels, other.neighbours, n_clusters))
                for other in clustered
            ]
            for one in clustered
        ]
    )
    own = found.diagonal()
    # A graph that its own clustering hardly explains, as that of noise, tells nothing of others.
    return np.divide(found, own, out=np.ones_like(found), where=own > 0).clip(max=1)


def judge_by_peers(clustered: Sequence[Clustering], n_clusters: int) -> np.ndarray:
    """How well each clustering explains the neighbour graphs of the others: float64 (m,).

    The mean of `shares_explained` over the others' graphs: 1 is as well as their own clusterings.
    It favours the majority: a single better clustering among many poor ones is scored by their
    graphs.

    Arguments:
        clustered: m of the same rows, in the same order, 2 or more.
        n_clusters: K, the same for all.
    """
    shares = shares_explained(clustered, n_clusters)
    np.fill_diagonal(shares, 0.0)
    return shares.sum(axis=1) / (len(clustered) - 1)
