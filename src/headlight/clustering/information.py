"""Partitions that explain the neighbour graph: their score, and the merging that raises it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from headlight.clustering.constants import ROBUST, Constants


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


def graph_information(shares: np.ndarray, power: float = ROBUST.information_power) -> float:
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


def sparse_information(
    labels: np.ndarray, neighbours: torch.Tensor, power: float = ROBUST.information_power
) -> float:
    """`graph_information` of `edge_shares` without the (K, K) table: for very many clusters.

    Arguments:
        labels: int (n,).
        neighbours: int64 (n, k).
        power: of H.
    """
    ends = np.repeat(labels, neighbours.shape[1]), labels[neighbours.numpy().ravel()]
    size = int(labels.max(initial=0)) + 1
    counts = sp.csr_matrix((np.ones(len(ends[0])), ends), shape=(size, size))
    joint = ((counts + counts.T) / (2 * len(ends[0]))).tocsr()
    q = joint.sum(axis=1).A1
    entropy = -float(_xlogx(q).sum())
    information = float(_xlogx(joint.data).sum()) + 2 * entropy
    return max(information, 0.0) / entropy**power if entropy > 1e-9 else 0.0


class Merge(NamedTuple):
    """A step of `merges`: b becomes a part of a; I and H of the graph after it, in nats."""

    a: int
    b: int
    information: float
    entropy: float


def merge_groups(shares: np.ndarray, n_clusters: int, constants: Constants = ROBUST) -> np.ndarray:
    """Merge many small groups into `n_clusters` that explain the graph.

    Greedy: of all pairs, the one whose merge gives the highest `graph_information` (I / H^0.6 of
    the clusters at the two ends of an edge) is merged, until n_clusters are left. Then single
    groups move while that raises it. Bottom-up, as in "Agglomerative Information Bottleneck",
    Slonim and Tishby, NIPS 1999, with another criterion.

    Arguments:
        shares: float64 (M, M), symmetric, sum 1: the share of edges between any two groups, of
            `edge_shares`.
        n_clusters: K, 1 to M.

    Returns:
        int64 (M,), 0 to K − 1, the cluster of each group; every cluster has at least one.

    Raises:
        ValueError: n_clusters outside 1 to M.
    """
    if not 1 <= n_clusters <= len(shares):
        raise ValueError(f"n_clusters={n_clusters}: there are {len(shares)} groups.")
    cluster = np.arange(len(shares))
    for a, b, *_ in islice(merges(shares, constants.information_power), len(shares) - n_clusters):
        cluster[cluster == b] = a
    merged = np.unique(cluster, return_inverse=True)[1]
    return move(sp.csr_matrix(shares), merged, n_clusters, constants)


def merges(shares: np.ndarray, power: float) -> Iterator[Merge]:
    """Pairs of groups in the order in which `merge_groups` merges them.

    Arguments:
        shares: float64 (M, M), of `edge_shares`.
        power: of H.

    Returns:
        M − 1 pairs, of which as many are computed as are asked for.
    """
    J, q, group = shares.copy(), shares.sum(axis=1), np.arange(len(shares))
    # What merging i and j adds to Σ J log J and to Σ q log q: I = Σ J log J − 2 Σ q log q.
    joint = np.stack([_joint_gains(J, i) for i in range(len(J))])
    ends = _xlogx(q[:, None] + q) - _xlogx(q)[:, None] - _xlogx(q)
    np.fill_diagonal(joint, -np.inf)
    entropy = -_xlogx(q).sum()
    information = _xlogx(J).sum() + 2 * entropy
    for left in range(len(J), 1, -1):
        if left < 0.8 * len(J):  # each step looks at all pairs, those of merged groups too
            there = np.flatnonzero(np.isfinite(joint).any(axis=1))
            J, joint, ends = (table[np.ix_(there, there)] for table in (J, joint, ends))
            q, group = q[there], group[there]
        value = (information + joint - 2 * ends) / np.maximum(entropy - ends, 1e-9) ** power
        a, b = (int(i) for i in np.unravel_index(value.argmax(), value.shape))
        entropy -= ends[a, b]
        information += joint[a, b] - 2 * ends[a, b]
        yield Merge(int(group[a]), int(group[b]), float(information), float(entropy))
        # Columns a and b become one: of other pairs' gains, only their terms change.
        near = np.flatnonzero(J[a] + J[b])
        of_a, of_b = J[near, a], J[near, b]
        joint[np.ix_(near, near)] += 2 * (_both(of_a + of_b) - _both(of_a) - _both(of_b))
        J[a] += J[b]
        J[:, a] += J[:, b]
        J[b], J[:, b] = 0, 0
        q[a], q[b] = q[a] + q[b], 0
        gone = np.isneginf(joint[a])
        joint[a] = joint[:, a] = np.where(gone, -np.inf, _joint_gains(J, a))
        joint[b], joint[:, b] = -np.inf, -np.inf
        ends[a] = ends[:, a] = _xlogx(q[a] + q) - _xlogx(q[a]) - _xlogx(q)


def _joint_gains(J: np.ndarray, i: int) -> np.ndarray:
    """What merging i with each other adds to Σ J log J: float64 (M,); at i itself nothing true."""
    near = np.flatnonzero(J[i])
    own, others, diagonal = J[i, near], J[:, near], np.diagonal(J)
    gains = (_xlogx(own + others) - _xlogx(own) - _xlogx(others)).sum(axis=1)
    # Rows i and j, and columns i and j: where they cross, four entries become one.
    gains -= _xlogx(J[i, i] + J[i]) - _xlogx(J[i, i]) - _xlogx(J[i])
    gains -= _xlogx(diagonal + J[i]) - _xlogx(diagonal) - _xlogx(J[i])
    crossing = _xlogx(J[i, i] + diagonal + 2 * J[i])
    return 2 * gains + crossing - _xlogx(J[i, i]) - _xlogx(diagonal) - 2 * _xlogx(J[i])


def _both(column: np.ndarray) -> np.ndarray:
    return _xlogx(column[:, None] + column) - _xlogx(column)[:, None] - _xlogx(column)


def move(
    edges: sp.csr_matrix, labels: np.ndarray, n_clusters: int, constants: Constants = ROBUST
) -> np.ndarray:
    """Partition with a higher `graph_information`, by moving single nodes to other clusters.

    In every sweep each node names the cluster that the gradient says is best for it. All that name
    another move at once; if that is not better, the half of them with most to gain, and so on. It
    ends where no move is better, or after `move_sweeps`.

    Arguments:
        edges: float (m, m), symmetric, sum 1: weights between nodes, which are rows or groups.
        labels: int64 (m,), 0 to K − 1, where the nodes begin.
        n_clusters: K; no cluster is emptied, and none that is empty is filled.

    Returns:
        int64 (m,), 0 to K − 1.
    """
    power, itself = constants.information_power, edges.diagonal()
    nodes, labels = np.arange(len(labels)), labels.copy()

    def member(to: np.ndarray) -> sp.csr_matrix:
        ones, starts = np.ones(len(to), edges.dtype), np.arange(len(to) + 1)
        return sp.csr_matrix((ones, to, starts), shape=(len(to), n_clusters))

    def joint(links: np.ndarray, to: np.ndarray) -> np.ndarray:
        return (member(to).T @ links).astype(np.float64)

    links = (edges @ member(labels)).toarray()  # of each node to each cluster
    J = joint(links, labels)
    best, n_used = graph_information(J, power), len(np.unique(labels))
    for _ in range(constants.move_sweeps):
        q = J.sum(axis=1)
        entropy = -_xlogx(q).sum()
        share = (_xlogx(J).sum() / entropy + 2) * power if entropy > 1e-9 else 0.0
        # The derivative of I / H^power, times H^power, without what is the same for all clusters.
        log_joint = np.log(np.maximum(J, 1e-9)).astype(edges.dtype)
        log_ends = (2 - share) * np.log(np.maximum(q, 1e-9)).astype(edges.dtype)
        gains = -links.sum(axis=1)[:, None] * log_ends + itself[:, None] * log_joint.diagonal()
        gains += 2 * (links @ log_joint - itself[:, None] * log_joint[labels])
        gains[:, q <= 0] = -np.inf
        to = gains.argmax(axis=1)
        gain = gains[nodes, to] - gains[nodes, labels]
        order = np.argsort(-gain, kind="stable")[: np.count_nonzero(gain > 0)]
        while len(order):
            moved = labels.copy()
            moved[order] = to[order]
            if len(np.unique(moved)) == n_used:
                change = member(moved[order]) - member(labels[order])
                changed = links + (edges[order].T @ change).toarray()
                J = joint(changed, moved)
                value = graph_information(J, power)
                if value > best + 1e-7:
                    labels, links, best = moved, changed, value
                    break
            order = order[: len(order) // 2]
        else:
            break
    return labels


def _xlogx(x: np.ndarray) -> np.ndarray:
    return x * np.log(np.maximum(x, 1e-300))
