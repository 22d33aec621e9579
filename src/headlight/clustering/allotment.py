"""How many clusters each coarse cluster is split into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headlight.clustering.constants import Constants
from headlight.clustering.information import edge_shares, merges
from headlight.clustering.k_means import k_means
from headlight.clustering.neighbours import nearest_neighbours
from headlight.clustering.small_groups import leading_components


@dataclass(frozen=True)
class MergePath:
    """How the graph of a coarse cluster is explained by 1 to M parts of it.

    Arguments:
        information, entropy: float64 (M,), I and H of the parts at the two ends of an edge, in
            nats.
    """

    information: np.ndarray
    entropy: np.ndarray


def merge_path(points: torch.Tensor, expected: int, constants: Constants) -> MergePath:
    """That of many small groups, merged step by step.

    Arguments:
        points: float16 or float32 (n, d), some rows of the coarse cluster, projected.
        expected: parts, of which there are several times as many groups.
        constants: of the method.
    """
    n = len(points)
    wanted = min(n, constants.branch_groups * expected + constants.branch_groups_more)
    if wanted < 2:
        return MergePath(np.zeros(1), np.zeros(1))
    rows = leading_components(points, constants.level_directions)
    groups = k_means(rows, wanted, seed=0, iterations=constants.group_iterations)[1]
    groups = np.unique(groups, return_inverse=True)[1]
    # Of fewer neighbours on little data, as in `Graph.near`.
    near = nearest_neighbours(points, constants.graph_neighbors)[0][
        :, : max(1, n // (2 * expected))
    ]
    shares = edge_shares(groups, near, int(groups.max()) + 1)
    ends = shares.sum(axis=1)
    entropy = -float((ends[ends > 0] * np.log(ends[ends > 0])).sum())
    joint = float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    steps = list(merges(shares, constants.information_power))[::-1]
    return MergePath(
        np.array([*(step.information for step in steps), joint + 2 * entropy]),
        np.array([*(step.entropy for step in steps), entropy]),
    )


def allotted(
    paths: Sequence[MergePath | None],
    sizes: np.ndarray,
    most: np.ndarray,
    n_clusters: int,
    power: float,
) -> np.ndarray:
    """How many clusters each coarse cluster is split into.

    All begin with as many parts as their paths have, and of all merges of two parts of the same
    coarse cluster the one that leaves the highest I / H^power of the whole graph is done, until
    there are `n_clusters`. Edges between coarse clusters don't count, so that I and H of the whole
    are those of the coarse clusters plus the means of those inside.

    Arguments:
        paths: (g,), of each coarse cluster; None: it is split by size, in proportion.
        sizes: int64 (g,), rows of each, 1 or more.
        most: int64 (g,), clusters that each may have, 1 or more.
        n_clusters: K, at least g and at most the sum of `most`.
        power: of H.

    Returns:
        int64 (g,), 1 to `most`, sum K.

    Raises:
        ValueError: K outside its range.
    """
    if not len(sizes) <= n_clusters <= int(most.sum()):
        raise ValueError(f"n_clusters={n_clusters}: give {len(sizes)} to {int(most.sum())}.")
    parts = by_size(np.ones_like(sizes), sizes, most, n_clusters)
    merged = np.array([i for i, path in enumerate(paths) if path is not None], np.int64)
    if len(merged):
        known = [path for path in paths if path is not None]
        parts[merged] = _merged(known, sizes[merged], most[merged], int(parts[merged].sum()), power)
    return parts


def by_size(parts: np.ndarray, sizes: np.ndarray, most: np.ndarray, total: int) -> np.ndarray:
    """More parts, one by one, where there are most rows for one: int64 (g,), sum `total`.

    Arguments:
        parts: int64 (g,), 1 or more, that there are; of sum `total` at most.
        sizes: int64 (g,), rows.
        most: int64 (g,), of sum `total` at least.
        total: parts in the end.
    """
    parts = parts.copy()
    for _ in range(total - int(parts.sum())):
        parts[np.where(parts < most, sizes / parts, -1).argmax()] += 1
    return parts


def _merged(
    paths: Sequence[MergePath],
    sizes: np.ndarray,
    most: np.ndarray,
    total: int,
    power: float,
) -> np.ndarray:
    parts = np.array([len(path.entropy) for path in paths])
    if parts.sum() < total:
        return by_size(parts, sizes, most, total)
    information, entropies = (
        np.stack([np.pad(one, (0, int(parts.max()) - len(one))) for one in of_paths])
        for of_paths in ([one.information for one in paths], [one.entropy for one in paths])
    )
    shares, each = sizes / sizes.sum(), np.arange(len(paths))
    between = -float((shares * np.log(shares)).sum())
    whole_i = between + float(shares @ information[each, parts - 1])
    whole_h = between + float(shares @ entropies[each, parts - 1])
    for _ in range(int(parts.sum()) - total):
        fewer = np.maximum(parts - 2, 0)
        i = whole_i - shares * (information[each, parts - 1] - information[each, fewer])
        h = whole_h - shares * (entropies[each, parts - 1] - entropies[each, fewer])
        value = np.where(parts > 1, i / np.maximum(h, 1e-9) ** power, -np.inf)
        best = int(value.argmax())
        parts[best] -= 1
        whole_i, whole_h = float(i[best]), float(h[best])
    return parts
