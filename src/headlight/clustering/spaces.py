"""The spaces that features may be clustered in, and the choice among them without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import Features
from headlight.clustering.fusion import shares_explained
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.projection import Projection, fit_projections, project
from headlight.clustering.starts import partitions, small_groups


@dataclass(frozen=True)
class Space:
    """A projection of the features, and the neighbour graph in it.

    Arguments:
        name: "principal", "neighbours" or "views": what its directions come from.
        projection: fitted.
        spectrum: of the graph of at most `spectrum_rows` plain rows, the same in every space.
    """

    name: str
    projection: Projection
    spectrum: Spectrum


def feature_spaces(
    features: Features,
    n_components: int,
    blocks: Sequence[int] | None = None,
    used: np.ndarray | None = None,
    constants: Constants = ROBUST,
) -> list[Space]:
    """The space of each of `fit_projections`, whose arguments these are."""
    seen = Features(features.plain)
    rows = features.sample(constants.spectrum_rows)
    return [
        Space(name, one, Spectrum(neighbour_graph(project(seen, one, rows)), constants))
        for name, one in fit_projections(
            features, n_components, blocks, constants, used=used
        ).items()
    ]


def best_start(
    spaces: Sequence[Space],
    n_clusters: int,
    seed: int,
    constants: Constants = ROBUST,
    *,
    coarse: bool = False,
) -> tuple[Space, np.ndarray]:
    """The space to cluster in, and where to start: its best partition, int64 (n,).

    Of two spaces the better one finds more of the other's groups than the other way round: its
    partitions explain the others' graphs better than theirs explain its graph. Augmented views
    help where they keep an image in its class, and mislead where the colour or the shape that they
    change tells the classes apart; neighbours likewise. The information of a space's own graph
    can't tell, since a space with few directions has a simple graph.

    Arguments:
        spaces: m of the same rows.
        n_clusters: K.
        seed: of the partitions.
        coarse: the clusters are small groups, of which regions will be made.
    """
    found = [
        [small_groups(one.spectrum, n_clusters, seed, constants)]
        if coarse
        else partitions(one.spectrum, n_clusters, seed, constants)
        for one in spaces
    ]
    graphs = [one.spectrum.graph.near(n_clusters) for one in spaces]
    # The mean of all, since single partitions of two similar spaces win and lose by chance.
    shares = shares_explained(found, graphs, n_clusters, constants.space_power)
    best = int((shares - shares.T).sum(axis=1).argmax())
    return spaces[best], found[best][0]
