"""The spaces that features may be clustered in, and the choice among them without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import Features
from headlight.clustering.fusion import information_of, shares_of
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.projection import Projection, fit_projections, project
from headlight.clustering.starts import best_of, partitions, seeds_of, small_groups


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

    Where spaces are as good as each other, chance would decide, and seeds differ. So of those that
    are not behind the best by `space_doubt` standard errors, the last is taken, which uses most.

    Arguments:
        spaces: m of the same rows, each of more kinds of pairs than the one before.
        n_clusters: K.
        seed: of the partitions.
        coarse: the clusters are small groups, of which regions will be made.
    """
    seeds = seeds_of(n_clusters, seed, constants)
    first, more = seeds[: constants.space_tried], seeds[constants.space_tried :]
    found = [
        [small_groups(one.spectrum, n_clusters, seed, constants)]
        if coarse
        else partitions(one.spectrum, n_clusters, first, constants)
        for one in spaces
    ]
    graphs = [one.spectrum.graph.near(n_clusters) for one in spaces]
    information = np.stack(information_of(found, graphs, n_clusters, constants.space_power))
    best = _last_of_the_best(information, constants.space_doubt)
    space = spaces[best]
    if coarse:
        return space, found[best][0]
    tried = found[best] + partitions(space.spectrum, n_clusters, more, constants)
    return space, best_of(space.spectrum, n_clusters, tried, constants)


def _last_of_the_best(information: np.ndarray, doubt: float) -> int:
    """The last of m spaces that is not clearly behind the best of them.

    Arguments:
        information: (m, t, m), of t partitions of each space on the graph of each.
        doubt: standard errors, by the jackknife over partitions, that are not clear.
    """

    def scores(some: np.ndarray) -> np.ndarray:
        shares = shares_of(some.mean(axis=1))
        return (shares - shares.T).sum(axis=1)

    every, tried = scores(information), information.shape[1]
    behind = every.max() - every
    if tried > 1:
        without = np.stack([scores(np.delete(information, i, axis=1)) for i in range(tried)])
        lead = without[:, [every.argmax()]] - without
        error = np.sqrt((tried - 1) * lead.var(axis=0))
        behind = behind - doubt * error
    return int(np.flatnonzero(behind <= 0)[-1])
