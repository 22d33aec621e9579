"""A tree of heads: for more clusters than one head finds well, at a cost of n · log K."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headlight.clustering.constants import Constants
from headlight.clustering.description import Description, describe
from headlight.clustering.features import Features, sample
from headlight.clustering.hierarchy import grafted
from headlight.clustering.information import edge_shares, merges, sparse_information
from headlight.clustering.k_means import k_means
from headlight.clustering.neighbours import nearest_neighbours
from headlight.clustering.projection import project
from headlight.clustering.quality import ClusterQuality
from headlight.clustering.robust import fit_robust
from headlight.clustering.training import Fitted
from headlight.clustering.tree_head import Branch, TreeHead

SEEDS = 2**31 - 1


def fit_tree(
    features: Features,
    n_clusters: int,
    constants: Constants,
    *,
    n_components: int,
    n_neighbors: int,
    blocks: Sequence[int] | None,
    device: torch.device,
    seed: int,
    progress: Callable[[int, int], object] | None = None,
) -> Fitted:
    """Fit a head for coarse clusters, and in each of them one for its parts.

    With K clusters wanted there are about √K coarse ones, or a higher root where one head would
    have to tell more than `most_flat`. Each is fitted as any few clusters are, on a sample of its
    own rows, in a space of its own within the directions of the coarse head. How many parts each
    one gets is what merging says: in all of them rows are put in many small groups, and of all
    merges of groups in the same coarse cluster the one that leaves the highest I / H^0.6 of the
    whole graph is done, until K are left. Edges between coarse clusters don't count, so that I and
    H of the whole are those of the coarse clusters plus the means of those inside.

    Arguments: see `fit_robust`; n_clusters 4 or more, and at least as many distinct rows.
    """
    n_coarse = _branching(n_clusters, constants.most_flat)
    done, steps = 0, 2 * n_coarse

    def count(parts: int) -> None:
        nonlocal done
        done += parts
        if progress:
            progress(done, steps)

    settings = {"n_components": n_components, "n_neighbors": n_neighbors, "device": device}
    coarse = fit_robust(features, n_coarse, constants, blocks=blocks, seed=seed, coarse=True, **settings)
    found = describe(coarse, features, constants)
    count(n_coarse)

    members = [np.flatnonzero(found.labels == i) for i in range(n_coarse)]
    plain = Features(features.plain)

    def points(rows: np.ndarray, most: int) -> Features:
        return project(plain, coarse.projection, rows[sample(len(rows), most)])

    sizes = np.array([len(rows) for rows in members])
    expected = np.ceil(sizes * (n_clusters / len(features))).astype(int)
    paths = [
        _path(points(rows, _enough(k, constants)).plain, k, constants)
        for rows, k in zip(members, expected.tolist(), strict=True)
    ]
    wanted = allotted(paths, sizes / len(features), _entropy(sizes), n_clusters, constants)

    branches: list[Branch | None] = []
    parts: list[Description | None] = []
    n_steps = coarse.n_steps
    seeds = np.random.default_rng(seed).integers(SEEDS, size=n_coarse).tolist()
    for rows, k, own in zip(members, wanted.tolist(), seeds, strict=True):
        count(1)
        if k < 2:
            branches.append(None)
            parts.append(None)
            continue
        some = points(rows, _enough(k, constants))
        fit = fit_robust if k <= constants.most_flat else fit_tree
        inner = fit(some, k, constants, blocks=None, seed=own, **settings)
        n_steps += inner.n_steps
        part = describe(inner, some, constants)
        parts.append(part)
        branches.append(Branch(inner.projection, part.head))
    head = TreeHead(found.head, branches).eval()
    near = coarse.graph.near(n_clusters)
    labels = head.best_two(coarse.graph.points.plain.float())[0][:, 0].numpy()
    qualities = [
        found.quality.take(np.array([i])) if part is None else part.quality
        for i, part in enumerate(parts)
    ]
    linkage = grafted(found.linkage, [None if part is None else part.linkage for part in parts])
    return Fitted(
        coarse.projection,
        coarse.rows,
        coarse.graph,
        n_clusters,
        None,
        head,
        1.0,
        sparse_information(labels, near, constants.information_power),
        np.empty((0, len(coarse.rows)), np.int64),
        n_steps,
        coarse.blocks_used,
        (ClusterQuality.joined(qualities), linkage),
    )


def _branching(n_clusters: int, most: int) -> int:
    """Coarse clusters: the root of K for which each level has at most `most`, evenly."""
    levels = max(2, math.ceil(math.log(n_clusters) / math.log(most)))
    return max(2, round(n_clusters ** (1 / levels)))


def _enough(n_clusters: int, constants: Constants) -> int:
    """Rows that a branch with so many clusters is fitted on."""
    return max(constants.branch_rows, constants.resample_cluster_rows * n_clusters)


def _entropy(sizes: np.ndarray) -> float:
    shares = sizes[sizes > 0] / sizes.sum()
    return -float((shares * np.log(shares)).sum())


@dataclass(frozen=True)
class Path:
    """How a coarse cluster falls apart.

    Arguments:
        information, entropy: float64 (M,), I and H of its graph in 1 to M parts, in nats.
    """

    information: np.ndarray
    entropy: np.ndarray


def _path(points: torch.Tensor, expected: int, constants: Constants) -> Path:
    """That of projected rows, float16 (n, d), which are expected to have so many parts."""
    n = len(points)
    wanted = min(n, constants.branch_groups * expected + constants.branch_groups_more)
    if wanted < 2:
        return Path(np.zeros(1), np.zeros(1))
    rows = points[:, : constants.level_directions].float().numpy()
    groups = k_means(rows, wanted, seed=0, iterations=constants.group_iterations)[1]
    groups = np.unique(groups, return_inverse=True)[1]
    near = nearest_neighbours(points, constants.graph_neighbors)[0]
    near = near[:, : max(1, n // (2 * expected))]
    shares = edge_shares(groups, near, int(groups.max()) + 1)
    steps = list(merges(shares, constants.information_power))
    ends = shares.sum(axis=1)
    entropy = -float((ends[ends > 0] * np.log(ends[ends > 0])).sum())
    there = shares > 0
    joint = float((shares[there] * np.log(shares[there])).sum())
    return Path(
        np.array([*(step.information for step in reversed(steps)), joint + 2 * entropy]),
        np.array([*(step.entropy for step in reversed(steps)), entropy]),
    )


def allotted(
    paths: Sequence[Path],
    shares: np.ndarray,
    entropy: float,
    n_clusters: int,
    constants: Constants,
) -> np.ndarray:
    """How many clusters each coarse cluster is split into.

    Arguments:
        paths: of each coarse cluster.
        shares: float64 (g,), of the rows.
        entropy: of these.
        n_clusters: K, g at least and as many as all paths have parts at most.

    Returns:
        int64 (g,), 1 at least, sum K.
    """
    parts = np.array([len(path.entropy) for path in paths])
    longest = int(parts.max())
    information, entropies = (
        np.stack([np.pad(getattr(path, name), (0, longest - len(path.entropy))) for path in paths])
        for name in ("information", "entropy")
    )
    each = np.arange(len(paths))
    whole_i = entropy + float(shares @ information[each, parts - 1])
    whole_h = entropy + float(shares @ entropies[each, parts - 1])
    for _ in range(int(parts.sum()) - n_clusters):
        less = np.maximum(parts - 2, 0)
        i = whole_i - shares * (information[each, parts - 1] - information[each, less])
        h = whole_h - shares * (entropies[each, parts - 1] - entropies[each, less])
        value = np.where(parts > 1, i / np.maximum(h, 1e-9) ** constants.information_power, -np.inf)
        best = int(value.argmax())
        parts[best] -= 1
        whole_i, whole_h = float(i[best]), float(h[best])
    return parts
