"""Features of several encoders: selects which to use, and fits one projection of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from headlight.clustering.graph import Graph
from headlight.clustering.number import count_clusters
from headlight.clustering.peers import Clustering, shares_explained
from headlight.clustering.projection import Projection, fit_projection, project
from headlight.clustering.spectrum import SAMPLE, Spectrum
from headlight.clustering.starts import starting_partitions
from headlight.clustering.validation import Features

# All blocks are used where together they explain so much more of all graphs than the best alone.
GAIN = 0.01
# Else a block is used if the best one loses at least so much of its graph, compared with what it
# loses of the best one's. Both found on digits, CIFAR-10, Caltech-101 (docs/research-notes.md).
EVEN = 0.8


def fit_joint_projection(
    features: Features, n_components: int, blocks: Sequence[int], n_clusters: int | None
) -> tuple[Projection, np.ndarray]:
    """`fit_projection` of the features of those encoders that are worth using together.

    Each block is clustered alone, and all blocks together. Each clustering explains some share of
    the blocks' graphs (`peers`). If all together clearly explain more, all are used. Otherwise,
    encoders that are clearly worse than the best one are left out, because they would make the
    result worse; the better of two encoders finds more of the other's groups than the other way
    round.

    Arguments:
        features: n rows, of which at most 20,000 are looked at.
        n_components: at most this many directions.
        blocks: lengths of the m parts of a row that come from different encoders.
        n_clusters: K; None: the median of what each block shows.

    Returns:
        The projection, in which blocks left out count as zero (its mean is of all); which were
        used, bool (m,).

    Raises:
        ValueError: see `fit_projection`.
    """
    together = fit_projection(features, n_components, blocks)
    parts = [
        features.columns(columns)
        for columns in np.split(np.arange(features.dim), np.cumsum(blocks)[:-1])
    ]
    spectra = [_spectrum(part, fit_projection(part, n_components)) for part in parts]
    k = n_clusters or int(np.median([count_clusters(one).n_clusters for one in spectra]))
    spectra.append(_spectrum(features, together))
    shares = shares_explained(
        [
            Clustering(starting_partitions(one, k, 1, seed=0)[0], one.graph.near(k))
            for one in spectra
        ],
        k,
    )[:, :-1]
    used = _worth_using(shares[:-1], shares[-1])
    if used.all():
        return together, used
    columns = np.flatnonzero(np.repeat(used, blocks))
    kept = [width for width, one in zip(blocks, used, strict=True) if one]
    fitted = fit_projection(features.columns(columns), n_components, kept)
    components = torch.zeros(features.dim, fitted.components.shape[1])
    components[columns] = fitted.components
    return Projection(together.mean, components), used


def _spectrum(features: Features, projection: Projection) -> Spectrum:
    rows = features.sample(SAMPLE)
    return Spectrum(Graph.of(project(features, projection, rows)[:, :1]))


def _worth_using(alone: np.ndarray, together: np.ndarray) -> np.ndarray:
    """bool (m,), at least one True.

    Arguments:
        alone: (m, m), shares of the blocks' graphs that the clustering of each explains.
        together: (m,), that the clustering of all explains.
    """
    lost = 1 - alone
    best = int(lost.sum(axis=1).argmin())
    if lost[best].mean() - (1 - together).mean() >= GAIN:
        return np.ones(len(alone), dtype=bool)
    used = lost[best] >= EVEN * lost[:, best]
    used[best] = True
    return used
