"""A tree of heads: for more clusters than one head finds well, at a cost of n · log K."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from headlight.clustering.allotment import MergePath, allotted, merge_path
from headlight.clustering.assigning import WALKED, hard_labels
from headlight.clustering.calibration import calibrate, resampled_partitions
from headlight.clustering.constants import Constants
from headlight.clustering.description import Description, describe
from headlight.clustering.features import Features, count_distinct, sample
from headlight.clustering.heads import LinearHead
from headlight.clustering.hierarchy import grafted
from headlight.clustering.information import edge_shares, merges, sparse_information
from headlight.clustering.projection import project
from headlight.clustering.quality import ClusterQuality
from headlight.clustering.robust import fit_robust
from headlight.clustering.training import Fitted
from headlight.clustering.tree_head import Branch, RegionHead, TreeHead

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
    have to tell more than `most_flat`. They are regions of 256 small groups, which a linear head
    tells apart (`RegionHead`). Each is fitted as any few clusters are, on a sample of its own rows,
    in a space of its own within the directions of the coarse head. How many parts each one gets is
    what merging says (`allotted`); one that would have more than `most_flat` is a tree itself, and
    gets them by its size.

    Arguments: see `fit_robust`; n_clusters 4 or more, and at least as many distinct rows.
    """
    settings: dict[str, Any] = {
        "n_components": n_components, "n_neighbors": n_neighbors, "device": device
    }  # fmt: skip
    n_coarse = _branching(n_clusters, constants.most_flat)
    n_groups = min(constants.coarse_groups, n_clusters)
    coarse = fit_robust(
        features, n_groups, constants, blocks=blocks, seed=seed, coarse=True, **settings
    )
    n_steps = coarse.n_steps
    coarse.head.scale_logits(1 / coarse.temperature)  # the tree has one for the whole
    found = describe(_regions(coarse, n_coarse, constants), features, constants)
    assert isinstance(found.head, RegionHead)  # noqa: S101 - of `_regions`

    members = [np.flatnonzero(found.labels == i) for i in range(n_coarse)]
    plain = Features(features.plain)

    def points(rows: np.ndarray, k: int) -> Features:
        most = max(constants.branch_rows, constants.branch_cluster_rows * k)
        return project(plain, coarse.projection, rows[sample(len(rows), most)])

    wanted = _allotment(members, points, n_clusters, constants)

    branches: list[Branch | None] = []
    parts: list[Description | None] = []
    seeds = np.random.default_rng(seed).integers(SEEDS, size=n_coarse)
    for i, k in enumerate(wanted.tolist()):
        branch = part = None
        if k > 1:
            some = points(members[i], k)
            fit = fit_robust if k <= constants.most_flat else fit_tree
            inner = fit(some, k, constants, blocks=None, seed=int(seeds[i]), **settings)
            inner.head.scale_logits(1 / inner.temperature)
            n_steps += inner.n_steps
            part = describe(inner, some, constants)
            assert isinstance(part.head, LinearHead | TreeHead)  # noqa: S101 - as they were
            branch = Branch(inner.projection, part.head)
        branches.append(branch)
        parts.append(part)
        if progress:
            progress(i + 1, n_coarse)

    head = TreeHead(found.head, branches).eval()
    near = coarse.graph.near(n_clusters)
    learned = coarse.graph.points.plain.split(WALKED)
    labels = torch.cat([head.walk(rows.float()).clusters[:, 0] for rows in learned]).numpy()
    temperature = calibrate(
        head,
        coarse.projection,
        features,
        labels=labels,
        neighbours=near,
        rows=coarse.rows,
        constants=constants,
    )
    quality = ClusterQuality.joined(
        [
            found.quality.take(np.array([i])) if part is None else part.quality
            for i, part in enumerate(parts)
        ]
    )
    linkage = grafted(found.linkage, [None if part is None else part.linkage for part in parts])
    return Fitted(
        coarse.projection,
        coarse.rows,
        coarse.graph,
        n_clusters,
        None,
        head,
        temperature,
        sparse_information(labels, near, constants.information_power),
        np.empty((0, len(coarse.rows)), np.int64),
        n_steps,
        coarse.blocks_used,
        (quality, linkage),
    )


def _regions(groups: Fitted, n_regions: int, constants: Constants) -> Fitted:
    """Small groups merged into regions of about equal size.

    They are merged by I alone, which favours even clusters. With many more clusters in the data
    than regions, the highest I / H^0.6 has a few of them alone and all others together.
    """
    head, points = groups.head, groups.graph.points.plain
    assert isinstance(head, LinearHead)  # noqa: S101 - what fit_robust gives
    labels = hard_labels(head, lambda index: points[index].float(), len(points))
    shares = edge_shares(labels, groups.graph.near(n_regions), groups.n_clusters)
    region = np.arange(groups.n_clusters)
    for a, b, *_ in islice(merges(shares, 0.0), groups.n_clusters - n_regions):
        region[region == b] = a
    region = np.unique(region, return_inverse=True)[1]
    return replace(
        groups,
        n_clusters=n_regions,
        head=RegionHead(head, torch.from_numpy(region)),
        others=resampled_partitions(points, n_regions, constants),
    )


def _allotment(
    members: Sequence[np.ndarray],
    points: Callable[[np.ndarray, int], Features],
    n_clusters: int,
    constants: Constants,
) -> np.ndarray:
    """How many clusters each coarse cluster is split into: int64 (g,).

    Arguments:
        members: (g,), int64, rows of each.
        points: rows and how many clusters are expected of them, to some of them projected.
        n_clusters: in all.
    """
    sizes = np.array([max(1, len(rows)) for rows in members])
    expected = np.ceil(sizes * (n_clusters / sizes.sum())).astype(int).tolist()
    paths: list[MergePath | None] = []
    distinct = []
    for rows, k in zip(members, expected, strict=True):
        if not len(rows):  # of few distinct rows a coarse cluster may have got none
            paths.append(None)
            distinct.append(1)
            continue
        some = points(rows, k)
        small = k <= constants.most_flat  # merging is cubic in groups
        paths.append(merge_path(some.plain, k, constants) if small else None)
        distinct.append(count_distinct(some, len(some)))
    # Where projected rows are equal that were not before, some clusters will have no rows.
    most = np.array(distinct) if sum(distinct) >= n_clusters else sizes
    return allotted(paths, sizes, most, n_clusters, constants.information_power)


def _branching(n_clusters: int, most: int) -> int:
    """Coarse clusters: the root of K for which each level has at most `most`, evenly."""
    levels = max(2, math.ceil(math.log(n_clusters) / math.log(most)))
    return max(2, round(n_clusters ** (1 / levels)))
