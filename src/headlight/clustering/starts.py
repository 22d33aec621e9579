"""Where the head starts: a partition of a sample of rows, found without training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.graph import Graph, Spectrum
from headlight.clustering.information import edge_shares, graph_information, merge_groups, move
from headlight.clustering.k_means import k_means
from headlight.clustering.threads import one_blas_thread

SEEDS = 2**31 - 1


def partition(
    spectrum: Spectrum, n_clusters: int, seed: int, constants: Constants = ROBUST
) -> np.ndarray:
    """The best of the partitions of all `seeds_of` and their combination: int64 (n,)."""
    seeds = seeds_of(n_clusters, seed, constants)
    found = partitions(spectrum, n_clusters, seeds, constants)
    return best_of(spectrum, n_clusters, found, constants)


def seeds_of(n_clusters: int, seed: int, constants: Constants = ROBUST) -> list[int]:
    """Seeds of the partitions to be tried: the fewer, the more clusters."""
    tried = max(1, min(constants.max_tried, constants.max_work // n_clusters))
    return np.random.default_rng(seed).integers(SEEDS, size=tried).tolist()


def partitions(
    spectrum: Spectrum, n_clusters: int, seeds: Sequence[int], constants: Constants = ROBUST
) -> list[np.ndarray]:
    """Partitions of the rows that explain their graph.

    Each begins with many more groups than clusters, of k-means in the graph's leading eigenvectors.
    These are merged to what explains the graph best (`merge_groups`), and single rows move
    (`move`).

    Arguments:
        spectrum: of the graph of the rows.
        n_clusters: K.
        seeds: of k-means, one a partition.

    Returns:
        int64 (n,) each, 0 to n_clusters − 1.
    """
    points = _embedded(spectrum, n_clusters, constants)
    most = len(points) // constants.group_rows
    n_groups = max(n_clusters, min(n_clusters + constants.extra_groups, most))
    groups = (k_means(points, n_groups, one, constants.group_iterations)[1] for one in seeds)
    return [_merged(spectrum.graph, one, n_clusters, constants) for one in groups]


def best_of(
    spectrum: Spectrum,
    n_clusters: int,
    partitions: Sequence[np.ndarray],
    constants: Constants = ROBUST,
) -> np.ndarray:
    """The partition that explains the graph best, of some and their combination: int64 (n,).

    Single partitions end in different optima, and what several have in common is seldom wrong. So
    the groups of rows that the best of them all keep together are merged once more ("An ensemble
    learning strategy for graph clustering", Ovelgönne and Geyer-Schulz 2012).

    Arguments:
        spectrum: of the graph of the rows.
        n_clusters: K.
        partitions: int64 (n,) each, 0 to n_clusters − 1.
    """
    near = spectrum.graph.near(n_clusters)

    def information(labels: np.ndarray) -> float:
        shares = edge_shares(labels, near, n_clusters)
        return graph_information(shares, constants.information_power)

    found = sorted(partitions, key=information, reverse=True)
    together = _kept_together(found, n_clusters + constants.most_kept)
    combined = _merged(spectrum.graph, together, n_clusters, constants)
    return max(found[0], combined, key=information)


def _merged(graph: Graph, groups: np.ndarray, n_clusters: int, constants: Constants) -> np.ndarray:
    """Groups of rows, int64 (n,), merged to clusters, and single rows moved: int64 (n,)."""
    # Of equal rows there may be fewer groups than clusters: some are empty.
    n_groups = max(n_clusters, int(groups.max()) + 1)
    shares = edge_shares(groups, graph.near(n_clusters), n_groups)
    with one_blas_thread():
        clusters = merge_groups(shares, n_clusters, constants)[groups]
        return move(graph.edges(n_clusters), clusters, n_clusters, constants)


def small_groups(
    spectrum: Spectrum, n_groups: int, seed: int, constants: Constants = ROBUST
) -> np.ndarray:
    """Groups of about equal size, as `partitions` begins with: int64 (n,), 0 to n_groups − 1.

    In a graph of more parts than there are eigenvectors, these say nothing of most rows: the rows
    themselves count beside them, with a lower weight.

    Arguments: see `partitions`; of few distinct rows some groups are empty.
    """
    points = constants.row_weight * spectrum.graph.points.plain.float().numpy()
    points = np.hstack([_embedded(spectrum, n_groups, constants), points])
    return k_means(points, n_groups, seed, constants.group_iterations)[1]


def _embedded(spectrum: Spectrum, count: int, constants: Constants) -> np.ndarray:
    """Rows in the leading eigenvectors of their graph, of length 1: float32 (n, count)."""
    vectors = spectrum.leading(min(count, constants.max_vectors))[1]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(unit, dtype=np.float32)


def _kept_together(partitions: Sequence[np.ndarray], most: int) -> np.ndarray:
    """Groups of rows that the first partitions agree on: int64 (n,), `most` groups at most."""
    groups = partitions[0]
    for other in partitions[1:]:
        pairs = groups * (int(other.max()) + 1) + other
        finer = np.unique(pairs, return_inverse=True)[1]
        if finer.max() >= most:
            break
        groups = finer
    return groups
