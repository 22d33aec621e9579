"""Partitions that explain the neighbour graph: their score, and the merging that raises it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
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
    merged = _merged(shares, n_clusters, constants.information_power)
    return _moved(shares, merged, n_clusters, constants)


def _merged(shares: np.ndarray, n_clusters: int, power: float) -> np.ndarray:
    cluster = np.arange(len(shares))
    for a, b in islice(merges(shares, power), len(shares) - n_clusters):
        cluster[cluster == b] = a
    return np.unique(cluster, return_inverse=True)[1]


def merges(shares: np.ndarray, power: float) -> Iterator[tuple[int, int]]:
    """Pairs of groups in the order in which `merge_groups` merges them: b becomes a part of a.

    Arguments:
        shares: float64 (M, M), of `edge_shares`.
        power: of H.

    Returns:
        M − 1 pairs, of which as many are computed as are asked for.
    """
    J, q = shares.copy(), shares.sum(axis=1)
    # What merging i and j adds to Σ J log J and to Σ q log q: I = Σ J log J − 2 Σ q log q.
    joint = np.stack([_joint_gains(J, i) for i in range(len(J))])
    ends = _xlogx(q[:, None] + q) - _xlogx(q)[:, None] - _xlogx(q)
    np.fill_diagonal(joint, -np.inf)
    for _ in range(len(J) - 1):
        entropy = -_xlogx(q).sum()
        information = _xlogx(J).sum() + 2 * entropy
        value = (information + joint - 2 * ends) / np.maximum(entropy - ends, 1e-9) ** power
        a, b = (int(i) for i in np.unravel_index(value.argmax(), value.shape))
        yield a, b
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


def _moved(
    shares: np.ndarray, cluster: np.ndarray, n_clusters: int, constants: Constants
) -> np.ndarray:
    """The same clusters after single groups moved to where they explain more."""
    cluster, power = cluster.copy(), constants.information_power
    weight = shares.sum(axis=1)
    among = np.stack([shares[:, cluster == k].sum(axis=1) for k in range(n_clusters)], axis=1)
    J = np.stack([among[cluster == k].sum(axis=0) for k in range(n_clusters)])
    q = J.sum(axis=1)
    best = _value(_xlogx(J).sum(), _xlogx(q).sum(), power)
    for _ in range(constants.merge_sweeps):
        before = cluster.copy()
        for i in range(len(shares)):
            a, itself = cluster[i], shares[i, i]
            if (cluster == a).sum() == 1:
                continue
            links = among[i].copy()
            links[a] -= itself
            # Taken out of a, then tried in each of the nearest.
            J[a] -= links
            J[:, a] -= links
            J[a, a] -= itself
            np.maximum(J, 0, out=J)
            q[a] -= weight[i]
            to = np.argsort(-links, kind="stable")[: constants.merge_targets]
            to = to[(links[to] > 0) | (to == a)]
            to = to if a in to else np.append(to, a)
            own = J[to, to]
            joint = 2 * (_xlogx(J[to] + links) - _xlogx(J[to])).sum(axis=1)
            joint += _xlogx(own + 2 * links[to] + itself) - _xlogx(own)
            joint -= 2 * (_xlogx(own + links[to]) - _xlogx(own))
            ends = _xlogx(q[to] + weight[i]) - _xlogx(q[to])
            values = _value(_xlogx(J).sum() + joint, _xlogx(q).sum() + ends, power)
            found = int(values.argmax())
            b = to[found] if values[found] > best + 1e-12 else a
            best = max(best, float(values[found]))
            J[b] += links
            J[:, b] += links
            J[b, b] += itself
            q[b] += weight[i]
            if b != a:
                cluster[i] = b
                among[:, a] -= shares[:, i]
                among[:, b] += shares[:, i]
        if (cluster == before).all():
            break
    return cluster


def _value(joint: Any, ends: Any, power: float) -> Any:
    """I / H^power of Σ J log J and Σ q log q."""
    return (joint - 2 * ends) / np.maximum(-ends, 1e-9) ** power


def _xlogx(x: np.ndarray) -> np.ndarray:
    return x * np.log(np.maximum(x, 1e-300))
