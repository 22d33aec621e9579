"""How clusters merge into coarser ones."""

from __future__ import annotations

import numpy as np

# Breaks ties between clusters without any edge between them, and does no more.
LITTLE = 1e-6


def merge_hierarchy(shares: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Average linkage of clusters by the density of graph edges between them.

    The two clusters with the highest density of edges between them, relative to random edges, are
    merged: J_ab / (q_a q_b); if there are no edges, the two with the nearest centres. For a merged
    cluster both values are the mean over its parts, weighted by their edges, so that later merges
    are never closer than earlier ones.

    Arguments:
        shares: float64 (K, K), of `headlight.clustering.information.edge_shares`.
        centres: float (K, dim), of length 1.

    Returns:
        float64 (K − 1, 4), as SciPy's `linkage`: the two merged clusters (K + i is the result of
        merge i), their distance 1 / (1 + density), and the number of clusters in both.
    """
    k = len(shares)
    weight = np.maximum(shares.sum(axis=1), 1e-12)
    density = shares / np.outer(weight, weight) + LITTLE * (1 + centres @ centres.T)
    np.fill_diagonal(density, -np.inf)
    name, leaves = np.arange(k), np.ones(k)
    merges = np.empty((k - 1, 4))
    alive = np.arange(k)
    for step in range(k - 1):
        among = density[np.ix_(alive, alive)]
        i, j = sorted(np.unravel_index(among.argmax(), among.shape))
        a, b = alive[i], alive[j]
        leaves[a] += leaves[b]
        merges[step] = [*sorted((name[a], name[b])), 1 / (1 + among[i, j]), leaves[a]]
        both = (weight[a] * density[a] + weight[b] * density[b]) / (weight[a] + weight[b])
        density[a], density[:, a] = both, both
        density[a, a] = -np.inf
        weight[a] += weight[b]
        name[a] = k + step
        alive = np.delete(alive, j)
    return merges


def cut(merges: np.ndarray, n_clusters: int) -> np.ndarray:
    """Cut the hierarchy into `n_clusters` coarser clusters.

    Arguments:
        merges: of `merge_hierarchy`, for K clusters.
        n_clusters: 1 to K.

    Returns:
        int64 (K,), the coarser cluster of each cluster, numbered by their lowest member: coarse
        cluster 0 holds cluster 0.

    Raises:
        ValueError: n_clusters outside 1 to K.
    """
    k = len(merges) + 1
    if not 1 <= n_clusters <= k:
        raise ValueError(f"n_clusters={n_clusters}: the hierarchy has 1 to {k} clusters.")
    group = {i: [i] for i in range(k)}
    for step, (a, b) in enumerate(merges[: k - n_clusters, :2].astype(int)):
        group[k + step] = group.pop(a) + group.pop(b)
    coarse = np.empty(k, dtype=np.int64)
    for number, members in enumerate(sorted(group.values(), key=min)):
        coarse[members] = number
    return coarse
