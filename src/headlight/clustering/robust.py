"""The method, top to bottom: a linear head that starts from a partition of the neighbour graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from headlight.clustering.assigning import hard_labels
from headlight.clustering.calibration import calibrate, resampled_partitions
from headlight.clustering.constants import Constants
from headlight.clustering.features import Features
from headlight.clustering.fusion import encoders_worth_using
from headlight.clustering.graph import neighbour_graph
from headlight.clustering.heads import LinearHead
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.k_means import centres_of
from headlight.clustering.levels import estimate_clusters
from headlight.clustering.losses import agreement_loss, entropy_loss
from headlight.clustering.projection import project
from headlight.clustering.spaces import best_start, feature_spaces
from headlight.clustering.training import Fitted, Pairs, learn_labels, train


def fit_robust(
    features: Features,
    n_clusters: int | None,
    constants: Constants,
    *,
    n_components: int,
    n_neighbors: int,
    blocks: Sequence[int] | None,
    device: torch.device,
    seed: int,
    progress: Callable[[int, int], object] | None = None,
    coarse: bool = False,
) -> Fitted:
    """Fit a head that explains the neighbour graph of the features.

    Arguments:
        features: n rows.
        n_clusters: K; None: estimate it.
        constants: of the method.
        n_components: directions at most.
        n_neighbors: neighbours that a row may be paired with, at most.
        blocks: lengths of the parts of a row that come from different encoders.
        device: where to train.
        seed: of starts and pairs.
        progress: called with (steps done, steps in all).
        coarse: small groups of about equal size are wanted, as regions are made of (`fit_tree`).

    Raises:
        ValueError: see `fit_projections`.
    """
    features = features.limit_views(constants.viewed_rows)
    gamma = 1.0 if coarse else constants.gamma  # small groups must not become few large ones

    # 1. Spaces of different directions, and who is whose neighbour in each.
    used = None
    if blocks is not None:
        used = encoders_worth_using(features, n_components, blocks, n_clusters, constants)
    spaces = feature_spaces(features, n_components, blocks, used, constants)

    # 2. How many clusters, in which space, and the partition that explains its graph best.
    estimate = None
    if n_clusters is None:
        estimate = estimate_clusters([one.spectrum for one in spaces], constants)
    k = estimate.n_clusters if estimate else int(n_clusters or 0)
    space, start = best_start(spaces, k, seed, constants, coarse=coarse)
    del spaces  # the memory of the others

    # 3. The head learns that partition, beginning at its centres.
    generator = torch.Generator().manual_seed(seed)
    started = space.spectrum.graph.points.plain
    head = LinearHead.from_centres(centres_of(started, start, k), constants.sharpness).to(device)
    learn_labels(head, started, start, constants, generator)

    # 4. It learns that neighbours agree, in any views if views made the space.
    if space.name != "views":
        features = Features(features.plain)
    rows = features.sample(constants.max_rows)
    points = project(features, space.projection, rows)
    graph, wanted = space.spectrum.graph, max(constants.graph_neighbors, n_neighbors)
    if len(rows) != len(graph.points) or wanted > constants.graph_neighbors:
        graph = neighbour_graph(points, wanted)
    near = graph.near(k)

    def inputs(index: torch.Tensor, view: torch.Tensor | int = 0) -> torch.Tensor:
        return points.rows(index, view).to(device)

    def loss(P: torch.Tensor, Q: torch.Tensor, done: float) -> torch.Tensor:
        first, last = constants.beta
        value = agreement_loss(P, Q, first + (last - first) * done, gamma)
        if constants.entropy_weight:
            value = value + constants.entropy_weight * entropy_loss(P, Q)
        return value

    n_steps = train(
        head,
        Pairs.of(points, near[:, :n_neighbors]),
        inputs,
        loss,
        constants,
        decay=True,
        generator=generator,
        progress=progress,
    )
    labels = hard_labels(head, inputs, len(rows))
    head = head.cpu()

    # 5. As sure as it is likely to be right.
    others = np.empty((0, len(rows)), np.int64)
    if not coarse:
        others = resampled_partitions(points.plain, k, constants)
    temperature = calibrate(
        head,
        space.projection,
        features,
        labels=labels,
        neighbours=near,
        rows=rows,
        constants=constants,
    )
    information = graph_information(edge_shares(labels, near, k), constants.information_power)
    return Fitted(
        space.projection,
        rows,
        graph,
        k,
        estimate,
        head,
        temperature,
        information,
        others,
        n_steps,
        used,
    )
