"""Labels of all rows: K clusters asked are K clusters given, and cluster 0 is the largest."""

from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.assigning import Head, head_labels, labels_and_margins
from headlight.clustering.features import CHUNK, Features, sample
from headlight.clustering.heads import LinearHead, MLPHead
from headlight.clustering.k_means import k_means
from headlight.clustering.projection import Projection
from headlight.clustering.tree_head import RegionHead, TreeHead

# Of the difference in logits that a split makes at a distance of 1: below it rounding decides.
LEAST = 0.01
# Rows that clusters are split on where some are empty, and rounds: a split may empty another.
SPLIT_ROWS, ROUNDS = 20_000, 5
# Logits nearer than this are a tie.
CLOSE = 1e-3


def label_rows(
    head: Head, projection: Projection, features: Features, sharpness: float
) -> tuple[Head, np.ndarray, np.ndarray]:
    """Labels of all rows, with the largest cluster as cluster 0.

    A linear head or a tree gets rows for empty clusters where it can be.

    Arguments:
        head: on the CPU; its clusters are renumbered in place.
        projection: what a linear head reads.
        features: n rows.
        sharpness: of logits, where clusters are made anew.

    Returns:
        The head, which may be another one; its labels, int64 (n,): those that it predicts; and the
        number that each cluster had before, int64 (K,).
    """
    most = 1 if isinstance(head, TreeHead) else ROUNDS  # `fill_leaves` has rounds of its own
    for rounds in range(most + 1):
        labels, margins = labels_and_margins(head, projection, features)
        sizes = np.bincount(labels, minlength=head.n_clusters)
        if sizes.all() or rounds == most or isinstance(head, MLPHead | RegionHead):
            break
        # Of every cluster some rows: the smallest may be the ones that can be split.
        order = np.argsort(labels, kind="stable")
        split = np.sort(order[sample(len(features), SPLIT_ROWS)])
        points = projection(features.rows(split))
        if isinstance(head, TreeHead):
            fill_leaves(head, points, np.flatnonzero(sizes == 0))
        elif rounds < ROUNDS - 1:
            fill_empty(head, points, np.flatnonzero(sizes == 0), sharpness)
        elif len(points) >= head.n_clusters:
            head = nearest_centre_head(points, head.n_clusters, sharpness)
    order = np.argsort(-sizes, kind="stable")
    head.reorder(torch.from_numpy(order))
    labels = np.argsort(order)[labels]
    # A matrix product may round differently in another column: ties are decided once more.
    close = np.flatnonzero(margins < CLOSE)
    for start in range(0, len(close), CHUNK):
        rows = close[start : start + CHUNK]
        labels[rows] = head_labels(head, projection, Features(features.rows(rows)))
    return head, labels, order


@torch.no_grad()
def fill_empty(head: LinearHead, points: torch.Tensor, empty: np.ndarray, sharpness: float) -> None:
    """Split the loosest clusters in two until every empty one has rows, in place.

    A cluster c is split across the boundary g(x) = 0 between the two centres of k-means of its
    rows: logits become w_c·x ± δ g(x), and since their maximum is never below w_c·x, its rows stay
    in one of the two. δ is as large as leaves all other rows where they are.

    Arguments:
        head: changed in place.
        points: float32 (n, dim), rows of length 1, some of every cluster that can be split.
        empty: the clusters without rows, integers.
        sharpness: the largest δ.
    """
    logits = head(points)
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
        step = float((0.9 * room.min()).clamp(LEAST, sharpness)) if len(room) else sharpness
        for cluster, sign in ((new, -step), (old, step)):
            head.weight[cluster] = head.weight[old] + sign * direction
            head.bias[cluster] = head.bias[old] - sign * offset
            logits[:, cluster] = logits[:, old] + sign * side


def fill_leaves(head: TreeHead, points: torch.Tensor, empty: np.ndarray) -> None:
    """Give every empty cluster of a tree a row of a cluster that has several, in place.

    In its own branch it has rows: they are lost to clusters of other branches, and win again once
    it is sure enough of them.

    Arguments:
        head: changed in place.
        points: float32 (n, dim), projected rows.
        empty: the clusters without rows, integers.
    """
    for _ in range(ROUNDS):
        found = head.walk(points)
        labels, best = found.clusters[:, 0].numpy(), found.log_p[:, 0].clone()
        sizes = np.bincount(labels, minlength=head.n_clusters)
        best[torch.from_numpy(sizes[labels] < 2)] = torch.inf
        empty = empty[sizes[empty] == 0]
        if not len(empty):
            return
        for cluster in empty.tolist():
            row = head.favour(cluster, points, best)
            if row is not None:
                own = labels[row]
                sizes[own] -= 1
                best[row] = torch.inf  # taken
                if sizes[own] < 2:
                    best[torch.from_numpy(labels == own)] = torch.inf


@torch.no_grad()
def nearest_centre_head(points: torch.Tensor, n_clusters: int, sharpness: float) -> LinearHead:
    """A head that labels as k-means of the rows does: for nearly as many clusters as rows.

    The nearest centre m is the one with the largest m·x − |m|²/2.

    Arguments:
        points: float32 (n, dim), n at least n_clusters.
        n_clusters: K.
        sharpness: of the logits.
    """
    centres = torch.from_numpy(k_means(points.numpy(), n_clusters, seed=0)[0])
    head = LinearHead.from_centres(centres, sharpness)
    head.bias.copy_(-sharpness / 2 * centres.square().sum(dim=1))
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
