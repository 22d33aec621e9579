"""How well a partition explains the neighbour graph: the score that selects starts and heads."""

from __future__ import annotations

import numpy as np
import torch

# Of H. Lower where classes are even (CIFAR-10: 0.4), higher where they are not: one for all.
POWER = 0.6


def edge_shares(labels: np.ndarray, neighbours: torch.Tensor, n_clusters: int) -> np.ndarray:
    """Share of the graph's edges between any two clusters: float64 (K, K), symmetric, sum 1.

    Arguments:
        labels: int (n,), 0 to K − 1.
        neighbours: int64 (n, k), row i's neighbours.
        n_clusters: K.
    """
    near = labels[neighbours.numpy()]
    pairs = (labels[:, None].astype(np.int64) * n_clusters + near).ravel()
    counts = np.bincount(pairs, minlength=n_clusters**2).reshape(n_clusters, n_clusters)
    return (counts + counts.T) / (2 * counts.sum())


def graph_information(shares: np.ndarray, power: float = POWER) -> float:
    """I / H^0.6 of the two ends of a random edge, in nats; I / H^power in general.

    I is the mutual information of the clusters of an edge's ends, H their entropy. I alone favours
    even clusters, whatever the data; I / H favours few large ones; a power in between is best on
    the data sets tried (docs/research-notes.md).

    Arguments:
        shares: of `edge_shares`.
        power: of H: 0 to 1.

    Returns:
        0 if all edges are in one cluster.
    """
    ends = shares.sum(axis=1)
    expected = np.outer(ends, ends)
    some = shares > 0
    information = float((shares[some] * np.log(shares[some] / expected[some])).sum())
    entropy = -float((ends[ends > 0] * np.log(ends[ends > 0])).sum())
    return max(information, 0.0) / entropy**power if entropy > 1e-9 else 0.0
