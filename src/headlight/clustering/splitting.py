"""Rows for clusters that training left without any: K clusters asked are K clusters given."""

from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.heads import SHARPNESS, LinearHeads
from headlight.clustering.k_means import k_means

# Of the difference in logits that a split makes at a distance of 1: below it rounding decides.
LEAST = 0.01


@torch.no_grad()
def fill_empty(head: LinearHeads, points: torch.Tensor, empty: np.ndarray) -> None:
    """Split the loosest clusters in two until every empty one has rows, in place.

    A cluster c is split across the boundary g(x) = 0 between the two centres of k-means of its
    rows: logits become w_c·x ± δ g(x), and since their maximum is never below w_c·x, its rows stay
    in one of the two. δ is as large as leaves all other rows where they are.

    Arguments:
        head: one head.
        points: float32 (n, dim), rows of length 1, some of every cluster that can be split.
        empty: the clusters without rows, integers.
    """
    logits = head(points)[0]
    for new in empty.tolist():
        labels = logits.argmax(dim=1)
        split = _loosest(points, labels.numpy(), head.n_clusters)
        if split is None:
            return
        old, direction, offset = split
        side = points @ direction - offset
        own = logits.gather(1, labels[:, None])[:, 0]
        others = labels != old
        room = (own - logits[:, old])[others] / side[others].abs().clamp_min(1e-12)
        step = float((0.9 * room.min()).clamp(LEAST, SHARPNESS)) if len(room) else SHARPNESS
        for cluster, sign in ((new, -step), (old, step)):
            head.weight[cluster] = head.weight[old] + sign * direction
            head.bias[cluster] = head.bias[old] - sign * offset
            logits[:, cluster] = logits[:, old] + sign * side


@torch.no_grad()
def nearest_centre_head(points: torch.Tensor, n_clusters: int) -> LinearHeads:
    """A head that labels as k-means of the rows does: for nearly as many clusters as rows.

    The nearest centre m is the one with the largest m·x − |m|²/2.

    Arguments:
        points: float32 (n, dim), n at least n_clusters.
        n_clusters: K.
    """
    centres = torch.from_numpy(k_means(points.numpy(), n_clusters, seed=0)[0])
    head = LinearHeads.started(centres[None])
    head.bias.copy_(-SHARPNESS / 2 * centres.square().sum(dim=1))
    return head


def _loosest(
    points: torch.Tensor, labels: np.ndarray, n_clusters: int
) -> tuple[int, torch.Tensor, float] | None:
    """The cluster whose rows scatter most, and the boundary between its halves.

    Returns:
        cluster, direction float32 (dim,), and the offset on it; None if no cluster has two
        different rows.
    """
    index = torch.from_numpy(labels)
    sums = torch.zeros(n_clusters, points.shape[1]).index_add_(0, index, points)
    sizes = torch.bincount(index, minlength=n_clusters)
    # Of rows of length 1: Σ|x − m|² = n − |Σx|² / n.
    scatter = sizes - sums.square().sum(dim=1) / sizes.clamp_min(1)
    for cluster in scatter.argsort(descending=True, stable=True).tolist():
        rows = points[index == cluster]
        if len(rows) < 2 or bool((rows == rows[0]).all()):
            continue
        first, second = torch.from_numpy(k_means(rows.numpy(), 2, seed=0)[0])
        direction = second - first
        if length := float(direction.norm()):
            middle = (first + second) @ direction / 2
            return cluster, direction / length, float(middle) / length
    return None
