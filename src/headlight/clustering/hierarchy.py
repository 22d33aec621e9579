"""How clusters merge into coarser ones."""

from __future__ import annotations

from collections.abc import Sequence

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


def grafted(coarse: np.ndarray, parts: Sequence[np.ndarray | None]) -> np.ndarray:
    """One hierarchy of coarse clusters and of the clusters in each.

    Arguments:
        coarse: of `merge_hierarchy`, for g clusters.
        parts: (g,), the same for the clusters in each; None where it is one cluster.

    Returns:
        float64 (K − 1, 4), for all clusters, those in coarse cluster 0 first. Distances in the
        parts are scaled to be below those of the coarse clusters: they compare within a part only.
    """
    sizes = np.array([1 if part is None else len(part) + 1 for part in parts])
    first, k = np.concatenate([[0], np.cumsum(sizes)[:-1]]), int(sizes.sum())
    least = float(coarse[:, 2].min(initial=1.0))
    steps = sorted(
        (float(row[2]) * least, i, step)
        for i, part in enumerate(parts)
        if part is not None
        for step, row in enumerate(part)
    )
    merges = np.empty((k - 1, 4))
    # What the result of a merge of a part is called now; a cluster of a part, its own number.
    name: dict[tuple[int, int], int] = {
        (i, cluster): int(first[i]) + cluster
        for i, size in enumerate(sizes.tolist())
        for cluster in range(size)
    }
    for number, (distance, i, step) in enumerate(steps):
        part = parts[i]
        assert part is not None  # noqa: S101 - it has this step
        a, b = sorted(name[i, int(one)] for one in part[step, :2])
        name[i, int(sizes[i]) + step] = k + number
        merges[number] = a, b, distance, part[step, 3]
    whole = [name[i, 2 * size - 2] for i, size in enumerate(sizes.tolist())]
    count = [float(size) for size in sizes]
    for number, row in enumerate(coarse, start=len(steps)):
        i, j = row[:2].astype(int)
        merges[number] = *sorted((whole[i], whole[j])), row[2], count[i] + count[j]
        whole.append(k + number)
        count.append(count[i] + count[j])
    return merges


def renumbered(merges: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The same hierarchy where new cluster i is old cluster order[i]."""
    number = np.arange(2 * len(order))
    number[order] = np.arange(len(order))
    merges = merges.copy()
    merges[:, :2] = np.sort(number[merges[:, :2].astype(int)], axis=1)
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
