"""Features of several encoders side by side: which of them to use, and one projection of these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from headlight.clustering.graph import Graph
from headlight.clustering.number import count_clusters
from headlight.clustering.peers import Clustered, shares_explained
from headlight.clustering.projection import Projection, fit_projection, project
from headlight.clustering.spectrum import SAMPLE, Spectrum
from headlight.clustering.starts import starting_partitions
from headlight.clustering.validation import Features

# A block is used if the best one loses at least so much of its graph, compared with what it loses
# of the best one's. Found on digits, CIFAR-10 and Caltech-101 (docs/research-notes.md).
EVEN = 0.8


def worth_using(
    features: Features, blocks: Sequence[int], n_components: int, n_clusters: int | None
) -> np.ndarray:
    """Which encoders' features to use together: bool (m,), at least one of them True.

    Each block is clustered alone, and explains some share of the others' graphs (`peers`). Of two
    encoders the better one finds more of the other's groups than the other way round. One that is
    clearly worse than the best spoils what they find together and is left out.

    Arguments:
        features: n rows, of which at most 20,000 are looked at.
        blocks: lengths of the m parts of a row that come from different encoders.
        n_components: directions to project each onto, at most.
        n_clusters: K; None: the median of what each block shows.
    """
    rows = features.sample(SAMPLE)
    spectra = []
    for columns in np.split(np.arange(features.dim), np.cumsum(blocks)[:-1]):
        part = features.columns(columns)
        points = project(part, fit_projection(part, n_components), rows)[:, :1]
        spectra.append(Spectrum(Graph.of(points)))
    k = n_clusters or int(np.median([count_clusters(one).n_clusters for one in spectra]))
    lost = 1 - shares_explained(
        [
            Clustered(starting_partitions(one, k, 1, seed=0)[0], one.graph.near(k))
            for one in spectra
        ],
        k,
    )
    best = int(lost.sum(axis=1).argmin())
    used = lost[best] >= EVEN * lost[:, best]
    used[best] = True
    return used


def fit_joint_projection(
    features: Features, n_components: int, blocks: Sequence[int], used: np.ndarray
) -> Projection:
    """`fit_projection` of the blocks used; those left out count as zero.

    Arguments:
        features: n rows.
        n_components: at most this many.
        blocks: lengths of the m parts of a row that come from different encoders.
        used: bool (m,).
    """
    columns = np.flatnonzero(np.repeat(used, blocks))
    kept = [width for width, one in zip(blocks, used, strict=True) if one]
    fitted = fit_projection(features.columns(columns), n_components, kept)
    mean = torch.zeros(features.dim)
    components = torch.zeros(features.dim, fitted.components.shape[1])
    mean[columns], components[columns] = fitted.mean, fitted.components
    return Projection(mean, components)
