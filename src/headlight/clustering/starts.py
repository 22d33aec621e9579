"""Where heads start: partitions of a sample of rows, found without training."""

from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.centres import centres_of
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.k_means import k_means
from headlight.clustering.merging import merge_groups
from headlight.clustering.spectrum import Spectrum

MOST_VECTORS = 256
# Groups that clusters are merged from: so many more than clusters, of at least so many rows.
MORE_GROUPS = 100
GROUP_ROWS = 4
# Partitions tried; with many clusters one costs more, and differs less from the next.
MOST_TRIED = 8
WORK = 400
SEEDS = 2**31 - 1


def starting_centres(spectrum: Spectrum, n_clusters: int, n_starts: int, seed: int) -> torch.Tensor:
    """Centres of `starting_partitions`, as the first weights of as many heads.

    Returns:
        float32 (n_starts, n_clusters, dim), each of length 1.
    """
    rows = spectrum.graph.rows[:, 0]
    partitions = starting_partitions(spectrum, n_clusters, n_starts, seed)
    return torch.stack([centres_of(rows, labels, n_clusters) for labels in partitions])


def starting_partitions(
    spectrum: Spectrum, n_clusters: int, n_starts: int, seed: int
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
    vectors = spectrum.leading(min(n_clusters, MOST_VECTORS))[1]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    points = np.ascontiguousarray(unit, dtype=np.float32)
    tried = max(n_starts, min(MOST_TRIED, WORK // n_clusters))
    found: list[tuple[float, int, np.ndarray]] = []
    for one in np.random.default_rng(seed).integers(SEEDS, size=tried).tolist():
        labels = _partition(points, near, n_clusters, one)
        information = graph_information(edge_shares(labels, near, n_clusters))
        found.append((-information, len(found), labels))
    return [labels for *_, labels in sorted(found)[:n_starts]]


def _partition(points: np.ndarray, near: torch.Tensor, n_clusters: int, seed: int) -> np.ndarray:
    """Labels (n,), 0 to K − 1."""
    n_groups = max(n_clusters, min(n_clusters + MORE_GROUPS, len(points) // GROUP_ROWS))
    groups = k_means(points, n_groups, seed)[1]
    return merge_groups(edge_shares(groups, near, n_groups), n_clusters)[groups]
