"""How clusters merge into coarser ones."""

from __future__ import annotations

import numpy as np


def merge_hierarchy(shares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Average linkage of clusters by the density of graph edges between them.

    The two clusters merge between which an edge is likeliest, compared with edges drawn at
    random: J_ab / (q_a q_b). For a merged cluster that is the mean of its parts', weighted by
    their edges, so that later merges are never closer than earlier ones.

    Arguments:
        shares: float64 (K, K), of `headlight.clustering.information.edge_shares`.
        sizes: int (K,), rows of each cluster.

    Returns:
        float64 (K − 1, 4), as SciPy's `linkage`: the two merged (K + i is what merge i made),
        their distance 1 / (1 + density), and the rows of both.
    """
    k = len(shares)
    joint = shares.astype(np.float64).copy()
    ends = np.maximum(joint.sum(axis=1), 1e-12)
    name, rows = np.arange(k), sizes.astype(np.float64).copy()
    merges = np.empty((k - 1, 4))
    alive = np.arange(k)
    for step in range(k - 1):
        density = joint[np.ix_(alive, alive)] / np.outer(ends[alive], ends[alive])
        np.fill_diagonal(density, -1)
        i, j = sorted(np.unravel_index(density.argmax(), density.shape))
        a, b = alive[i], alive[j]
        rows[a] += rows[b]
        merges[step] = [*sorted((name[a], name[b])), 1 / (1 + density[i, j]), rows[a]]
        joint[a] += joint[b]
        joint[:, a] += joint[:, b]
        ends[a] += ends[b]
        name[a] = k + step
        alive = np.delete(alive, j)
    return merges


def cut(merges: np.ndarray, n_clusters: int) -> np.ndarray:
    """Which of `n_clusters` coarser clusters each cluster belongs to.

    Arguments:
        merges: of `merge_hierarchy`, for K clusters.
        n_clusters: 1 to K.

    Returns:
        int64 (K,), numbered by their largest (lowest) member: coarse cluster 0 holds cluster 0.

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
