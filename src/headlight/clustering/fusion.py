"""Several encoders: how well each explains the others, and one projection of those worth using."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import Features
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.levels import estimate_clusters
from headlight.clustering.projection import Projection, fit_projection, project
from headlight.clustering.starts import partition


@dataclass(frozen=True)
class Clustering:
    """A clustering of some rows, and the neighbour graph of its features.

    Arguments:
        labels: int64 (n,), 0 to K − 1.
        neighbours: int64 (n, k), of the projected features.
    """

    labels: np.ndarray
    neighbours: torch.Tensor


def shares_explained(
    clustered: Sequence[Clustering],
    n_clusters: int,
    power: float = ROBUST.information_power,
) -> np.ndarray:
    """How well clustering i explains graph j, as a share of what j's own does: float64 (m, m).

    I(i, j) / I(j, j), 1 at most, with I the `graph_information` of clustering i on graph j. I alone
    is not comparable between feature spaces, because a space with few directions has a simple
    graph, on which any clustering looks good.

    Arguments:
        clustered: m of the same rows, in the same order.
        n_clusters: K, the same for all.
        power: of H.
    """
    found = np.array(
        [
            [
                graph_information(edge_shares(one.labels, other.neighbours, n_clusters), power)
                for other in clustered
            ]
            for one in clustered
        ]
    )
    own = found.diagonal()
    # A graph that its own clustering hardly explains, as that of noise, tells nothing of others.
    return np.divide(found, own, out=np.ones_like(found), where=own > 0).clip(max=1)


def judge_by_peers(clustered: Sequence[Clustering], n_clusters: int) -> np.ndarray:
    """How well each clustering explains the neighbour graphs of the others: float64 (m,).

    The mean of `shares_explained` over the others' graphs: 1 is as well as their own clusterings.
    It favours the majority: a single better clustering among many poor ones is scored by their
    graphs.

    Arguments:
        clustered: m of the same rows, in the same order, 2 or more.
        n_clusters: K, the same for all.
    """
    shares = shares_explained(clustered, n_clusters)
    np.fill_diagonal(shares, 0.0)
    return shares.sum(axis=1) / (len(clustered) - 1)


def fit_joint_projection(
    features: Features,
    n_components: int,
    blocks: Sequence[int],
    n_clusters: int | None,
    constants: Constants = ROBUST,
) -> tuple[Projection, np.ndarray]:
    """`fit_projection` of the features of those encoders that are worth using together.

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

    Returns:
        The projection, in which blocks left out count as zero (its mean is of all); which were
        used, bool (m,).

    Raises:
        ValueError: see `fit_projection`.
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
    clustered = [Clustering(partition(one, k, 0, constants), one.graph.near(k)) for one in spectra]
    shares = shares_explained(clustered, k, constants.information_power)[:, :-1]
    used = _worth_using(shares[:-1], shares[-1], constants)
    if used.all():
        return together, used
    columns = np.flatnonzero(np.repeat(used, blocks))
    kept = [width for width, one in zip(blocks, used, strict=True) if one]
    fitted = fit_projection(features.columns(columns), n_components, kept, constants)
    components = torch.zeros(features.dim, fitted.components.shape[1])
    components[columns] = fitted.components
    return Projection(together.mean, components), used


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
