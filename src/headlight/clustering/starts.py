"""Where the head starts: a partition of a sample of rows, found without training."""

from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.graph import Spectrum
from headlight.clustering.information import edge_shares, graph_information, merge_groups
from headlight.clustering.k_means import k_means

SEEDS = 2**31 - 1


def partition(
    spectrum: Spectrum, n_clusters: int, seed: int, constants: Constants = ROBUST
) -> np.ndarray:
    """The best of `partitions`: int64 (n,)."""
    return partitions(spectrum, n_clusters, seed, constants)[0]


def partitions(
    spectrum: Spectrum,
    n_clusters: int,
    seed: int,
    constants: Constants = ROBUST,
    effort: int = 1,
) -> list[np.ndarray]:
    """Partitions of the rows, the one that explains their graph best first.

    Each begins with many more groups than clusters, of k-means in the graph's leading eigenvectors,
    which are then merged to what explains the graph best (`merge_groups`).

    Arguments:
        spectrum: of the graph of the rows.
        n_clusters: K.
        seed: of k-means.
        effort: how many times more of them.

    Returns:
        int64 (n,) each, 0 to n_clusters − 1. With more effort the same, and others.
    """
    near = spectrum.graph.near(n_clusters)
    vectors = spectrum.leading(min(n_clusters, constants.max_vectors))[1]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    points = np.ascontiguousarray(unit, dtype=np.float32)
    tried = effort * max(1, min(constants.max_tried, constants.max_work // n_clusters))
    found = [
        _merged_groups(points, near, n_clusters, one, constants)
        for one in np.random.default_rng(seed).integers(SEEDS, size=tried).tolist()
    ]
    power = constants.information_power
    explained = [graph_information(edge_shares(one, near, n_clusters), power) for one in found]
    return [found[i] for i in np.argsort(-np.array(explained), kind="stable")]


def _merged_groups(
    points: np.ndarray, near: torch.Tensor, n_clusters: int, seed: int, constants: Constants
) -> np.ndarray:
    """Labels (n,), 0 to K − 1."""
    most = len(points) // constants.group_rows
    n_groups = max(n_clusters, min(n_clusters + constants.extra_groups, most))
    groups = k_means(points, n_groups, seed)[1]
    return merge_groups(edge_shares(groups, near, n_groups), n_clusters, constants)[groups]
