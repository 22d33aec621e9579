"""Estimates the number of clusters from the neighbour graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.clustering.spectrum import Spectrum

# A group counts if a random walk on the graph stays in it with at least this probability per
# step. Tuned on digits, CIFAR-10, Caltech-101 and subsets of them (docs/research-notes.md); the
# range comes from a stricter and a laxer value.
STAYS, STRICT, LAX = 0.92, 0.95, 0.88
FIRST, MOST = 32, 512


@dataclass(frozen=True)
class ClusterCount:
    """An estimate of the number of clusters.

    Arguments:
        n_clusters: the estimate, at least 2.
        low, high: the estimates with a stricter and a laxer threshold.
        curve: float32 (m,), leading eigenvalues of the normalised graph, largest first. Value j
            says how well the graph separates j + 1 groups; it drops where there are no more groups.
    """

    n_clusters: int
    low: int
    high: int
    curve: np.ndarray


def count_clusters(spectrum: Spectrum) -> ClusterCount:
    """Number of eigenvalues of the normalised neighbour graph above 0.92.

    K groups with no edges between them give K eigenvalues of 1; edges between groups lower each by
    about the group's conductance. Source: "A Tutorial on Spectral Clustering", von Luxburg 2007,
    propositions 4 and 5 and section 8.3; the threshold instead of the largest gap is ours, since
    real data have no clear gap.

    Arguments:
        spectrum: of the graph of the rows.

    Returns:
        At most 512 clusters.
    """
    most = min(MOST, len(spectrum.graph.rows) - 1)
    wanted = min(FIRST, most)
    values, _ = spectrum.leading(wanted)
    while values[-1] > LAX and wanted < most:
        wanted = min(4 * wanted, most)
        values, _ = spectrum.leading(wanted)
    found, low, high = (max(2, int((values > limit).sum())) for limit in (STAYS, STRICT, LAX))
    return ClusterCount(found, low, high, values[: high + 5].astype(np.float32))
