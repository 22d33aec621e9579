"""Estimates the number of clusters from the neighbour graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.graph import Spectrum

FIRST = 32  # eigenvalues solved for at first


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


def count_clusters(spectrum: Spectrum, constants: Constants = ROBUST) -> ClusterCount:
    """Number of eigenvalues of the normalised neighbour graph above a threshold, 0.92.

    K groups with no edges between them give K eigenvalues of 1; edges between groups lower each by
    about the group's conductance. Source: "A Tutorial on Spectral Clustering", von Luxburg 2007,
    propositions 4 and 5 and section 8.3; the threshold instead of the largest gap is ours, since
    real data have no clear gap.

    Arguments:
        spectrum: of the graph of the rows.

    Returns:
        At most `max_count` clusters.
    """
    most = min(constants.max_count, len(spectrum.graph.points) - 1)
    wanted = min(FIRST, most)
    values, _ = spectrum.leading(wanted)
    while values[-1] > constants.stays_lax and wanted < most:
        wanted = min(4 * wanted, most)
        values, _ = spectrum.leading(wanted)
    limits = constants.stays, constants.stays_strict, constants.stays_lax
    found, low, high = (max(2, int((values > limit).sum())) for limit in limits)
    return ClusterCount(found, low, high, values[: high + 5].astype(np.float32))
