"""How well clusterings in different spaces explain each other; which encoders are worth using."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import Features
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.levels import estimate_clusters
from headlight.clustering.projection import Projection, fit_projection, project
from headlight.clustering.starts import partition


def shares_explained(
    partitions: Sequence[Sequence[np.ndarray]],
    graphs: Sequence[torch.Tensor],
    n_clusters: int,
    power: float = ROBUST.information_power,
) -> np.ndarray:
    """How well the partitions of space i explain graph j, as a share of what j's own do: (m, m).

    Ī(i, j) / Ī(j, j), 1 at most, with Ī the mean `graph_information` of the partitions. Ī alone is
    not comparable between feature spaces, because a space with few directions has a simple graph,
    on which any partition looks good.

    Arguments:
        partitions: for each of m spaces one or more, int64 (n,), 0 to K − 1, of the same rows.
        graphs: for each space the neighbours of its rows, int64 (n, k).
        n_clusters: K, the same for all.
        power: of H.
    """
    found = information_of(partitions, graphs, n_clusters, power)
    return shares_of(np.stack([of_one.mean(axis=0) for of_one in found]))


def information_of(
    partitions: Sequence[Sequence[np.ndarray]],
    graphs: Sequence[torch.Tensor],
    n_clusters: int,
    power: float,
) -> list[np.ndarray]:
    """`graph_information` of every partition on every graph: for each space float64 (t, m).

    The arguments are those of `shares_explained`.
    """
    return [
        np.array(
            [
                [graph_information(edge_shares(one, near, n_clusters), power) for near in graphs]
                for one in own
            ]
        )
        for own in partitions
    ]


def shares_of(information: np.ndarray) -> np.ndarray:
    """`shares_explained`, of the mean information (m, m) of space i's partitions on graph j."""
    own = information.diagonal()
    # A graph that its own partitions hardly explain, as that of noise, tells nothing of others.
    return np.divide(information, own, out=np.ones_like(information), where=own > 0).clip(max=1)


def judge_by_peers(
    partitions: Sequence[np.ndarray], graphs: Sequence[torch.Tensor], n_clusters: int
) -> np.ndarray:
    """How well each partition explains the neighbour graphs of the others: float64 (m,).

    The mean of `shares_explained` over the others' graphs: 1 is as well as their own partitions.
    It favours the majority: a single better partition among many poor ones is scored by their
    graphs.

    Arguments:
        partitions: m of the same rows, int64 (n,), 2 or more.
        graphs: of each the neighbours in its own space, int64 (n, k).
        n_clusters: K, the same for all.
    """
    shares = shares_explained([[one] for one in partitions], graphs, n_clusters)
    np.fill_diagonal(shares, 0.0)
    return shares.sum(axis=1) / (len(partitions) - 1)


def encoders_worth_using(
    features: Features,
    n_components: int,
    blocks: Sequence[int],
    n_clusters: int | None,
    constants: Constants = ROBUST,
) -> np.ndarray:
    """Which encoders are worth using together: bool (m,).

    Each block is clustered alone, and all blocks together. Each clustering explains some share of
    the blocks' graphs (`shares_explained`). If all together clearly explain more, all are used.
    Otherwise, encoders that are clearly worse than the best one are left out, because they would
    make the result worse; the better of two encoders finds more of the other's groups than the
    other way round.

    Arguments:
        features: n rows, of which at most `projection_rows` are looked at.
        n_components: at most this many directions.
        blocks: lengths of the m parts of a row that come from different encoders.
        n_clusters: K; None: the one at which the blocks' partitions agree best.
        constants: of the method.

    Raises:
        ValueError: see `fit_projections`.
    """
    features = features.take(features.sample(constants.projection_rows))
    together = fit_projection(features, n_components, blocks, constants)
    ends = np.cumsum(blocks)
    parts = [features.columns(slice(end - n, end)) for n, end in zip(blocks, ends, strict=True)]
    spectra = []
    for part in parts:
        fitted = fit_projection(part, n_components, constants=constants)
        spectra.append(_spectrum(part, fitted, constants))
    # The encoders are the feature spaces that must agree.
    k = n_clusters or estimate_clusters(spectra, constants).n_clusters
    spectra.append(_spectrum(features, together, constants))
    shares = shares_explained(
        [[partition(one, k, 0, constants)] for one in spectra],
        [one.graph.near(k) for one in spectra],
        k,
        constants.information_power,
    )[:, :-1]
    return _worth_using(shares[:-1], shares[-1], constants)


def _spectrum(features: Features, projection: Projection, constants: Constants) -> Spectrum:
    plain = Features(features.plain)
    graph = neighbour_graph(project(plain, projection), constants.graph_neighbors)
    return Spectrum(graph, constants)


def _worth_using(alone: np.ndarray, together: np.ndarray, constants: Constants) -> np.ndarray:
    """bool (m,), at least one True.

    Arguments:
        alone: (m, m), shares of the blocks' graphs that the clustering of each explains.
        together: (m,), that the clustering of all explains.
    """
    lost = 1 - alone
    best = int(lost.sum(axis=1).argmin())
    if lost[best].mean() - (1 - together).mean() >= constants.fusion_gain:
        return np.ones(len(alone), dtype=bool)
    used = lost[best] >= constants.fusion_even * lost[:, best]
    used[best] = True
    return used
