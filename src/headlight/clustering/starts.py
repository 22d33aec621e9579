"""Where heads start: partitions of a sample of rows, found without training."""

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
    return partitions(spectrum, n_clusters, 1, seed, constants)[0]


def partitions(
    spectrum: Spectrum,
    n_clusters: int,
    n_starts: int,
    seed: int,
    constants: Constants = ROBUST,
) -> list[np.ndarray]:
    """Different partitions of the rows, best first.

    Each partition begins with many more groups than clusters, of k-means in the graph's leading
    eigenvectors, which are then merged to what explains the graph best (`merge_groups`). Of
    several, those stay that explain it best.

    Arguments:
        spectrum: of the graph of the rows.
        n_clusters: K.
        n_starts: how many partitions.
        seed: of k-means.

    Returns:
        For each its labels, int64 (n,), 0 to n_clusters − 1.
    """
    near = spectrum.graph.near(n_clusters)
    vectors = spectrum.leading(min(n_clusters, constants.max_vectors))[1]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    points = np.ascontiguousarray(unit, dtype=np.float32)
    tried = max(n_starts, min(constants.max_tried, constants.max_work // n_clusters))
    found: list[tuple[float, int, np.ndarray]] = []
    for one in np.random.default_rng(seed).integers(SEEDS, size=tried).tolist():
        labels = _merged_groups(points, near, n_clusters, one, constants)
        shares = edge_shares(labels, near, n_clusters)
        information = graph_information(shares, constants.information_power)
        found.append((-information, len(found), labels))
    return [labels for *_, labels in sorted(found)[:n_starts]]


def _merged_groups(
    points: np.ndarray, near: torch.Tensor, n_clusters: int, seed: int, constants: Constants
) -> np.ndarray:
    """Labels (n,), 0 to K − 1."""
    most = len(points) // constants.group_rows
    n_groups = max(n_clusters, min(n_clusters + constants.extra_groups, most))
    groups = k_means(points, n_groups, seed)[1]
    return merge_groups(edge_shares(groups, near, n_groups), n_clusters, constants)[groups]
