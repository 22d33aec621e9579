"""Clusterings of the same images compared without labels: each before the others' graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headlight.clustering.information import edge_shares, graph_information


@dataclass(frozen=True)
class Clustered:
    """One clustering of some images, and the neighbour graph of the features it came from.

    Arguments:
        labels: int64 (n,), 0 to K − 1.
        neighbours: int64 (n, k), of the projected features.
    """

    labels: np.ndarray
    neighbours: torch.Tensor


def judge_by_peers(clustered: Sequence[Clustered], n_clusters: int) -> np.ndarray:
    """How well each clustering explains the neighbour graphs of the others: float64 (m,).

    `graph_information`, the mean over the others' graphs: between feature spaces the information
    of one's own graph is not comparable, for a space with few directions makes a simple graph.
    It leans to the majority: a single better one among many poor ones is judged by theirs.

    Arguments:
        clustered: m of the same images, in the same order, 2 or more.
        n_clusters: K, the same for all.
    """
    return np.array(
        [
            np.mean(
                [
                    graph_information(edge_shares(one.labels, other.neighbours, n_clusters))
                    for other in clustered
                    if other is not one
                ]
            )
            for one in clustered
        ]
    )
