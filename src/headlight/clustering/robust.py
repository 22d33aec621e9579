"""The method, top to bottom: linear heads that start from partitions of the neighbour graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from headlight.clustering.calibration import calibrate, resampled_partitions
from headlight.clustering.constants import Constants
from headlight.clustering.features import Features
from headlight.clustering.fusion import fit_joint_projection
from headlight.clustering.graph import Graph, Spectrum, neighbour_graph
from headlight.clustering.heads import LinearHeads, hard_labels
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.k_means import centres_of
from headlight.clustering.levels import estimate_clusters
from headlight.clustering.losses import agreement_loss, entropy_loss
from headlight.clustering.projection import fit_projection, project
from headlight.clustering.starts import partitions
from headlight.clustering.training import Fitted, Pairs, train


def fit_robust(
    features: Features,
    n_clusters: int | None,
    constants: Constants,
    *,
    n_heads: int,
    n_components: int,
    n_neighbors: int,
    blocks: Sequence[int] | None,
    device: torch.device,
    seed: int,
    progress: Callable[[int, int], object] | None = None,
) -> Fitted:
    """Fit a head that explains the neighbour graph of the features.

    Arguments:
        features: n rows.
        n_clusters: K; None: estimate it.
        constants: of the method.
        n_heads: heads to train and choose from.
        n_components: directions at most.
        n_neighbors: neighbours that a row may be paired with, at most.
        blocks: lengths of the parts of a row that come from different encoders.
        device: where to train.
        seed: of starts and pairs.
        progress: called with (steps done, steps in all).

    Raises:
        ValueError: see `fit_projection`.
    """
    features = features.limit_views(constants.viewed_rows)
    rows = features.sample(constants.max_rows)

    # 1. Directions in which views and neighbours agree, of encoders worth using.
    used = None
    if blocks is None:
        projection = fit_projection(features, n_components, constants=constants)
    else:
        projection, used = fit_joint_projection(
            features, n_components, blocks, n_clusters, constants
        )
    points = project(features, projection, rows)

    # 2. Who is whose neighbour, and how many groups that shows.
    graph = neighbour_graph(points, max(constants.graph_neighbors, n_neighbors))
    spectrum = Spectrum(graph, constants)
    estimate = estimate_clusters([spectrum], constants) if n_clusters is None else None
    k = estimate.n_clusters if estimate else int(n_clusters or 0)
    near = graph.near(k)

    # 3. Heads start at the centres of partitions that explain the graph best.
    starts = partitions(spectrum, k, n_heads, seed, constants)
    seen = spectrum.graph.points.plain
    centres = torch.stack([centres_of(seen, labels, k) for labels in starts])
    heads = LinearHeads.from_centres(centres, constants.sharpness).to(device)

    # 4. Neighbours, in any views, learn to agree.
    def inputs(index: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        return points.rows(index, view).to(device)

    def loss(P: torch.Tensor, Q: torch.Tensor, done: float) -> torch.Tensor:
        first, last = constants.beta
        value = agreement_loss(P, Q, first + (last - first) * done, constants.gamma)
        if constants.entropy_weight:
            value = value + constants.entropy_weight * entropy_loss(P, Q)
        return value

    n_steps = train(
        heads,
        Pairs.of(points, near[:, :n_neighbors]),
        inputs,
        loss,
        constants,
        decay=True,
        generator=torch.Generator().manual_seed(seed),
        progress=progress,
    )

    # 5. The head that explains the graph best, as sure as it is likely to be right.
    head, labels, information = best_head(heads, graph, constants.information_power)
    others = resampled_partitions(points.plain, k, constants)
    temperature = calibrate(
        head, projection, features, labels=labels, others=others, rows=rows, constants=constants
    )
    return Fitted(
        projection, rows, graph, k, estimate, head, temperature, information, others, n_steps, used
    )


def best_head(
    heads: LinearHeads, graph: Graph, power: float
) -> tuple[LinearHeads, np.ndarray, float]:
    """The head whose labels have the highest `graph_information`.

    Arguments:
        heads: in evaluation mode.
        graph: of the rows they learned from.
        power: of H.

    Returns:
        The head on the CPU, its labels of the graph's rows, int64 (n,), and their information.
    """
    device, k, points = heads.weight.device, heads.n_clusters, graph.points
    found = hard_labels(heads, lambda index: points.rows(index).to(device), len(points))
    near = graph.near(k)
    scores = [graph_information(edge_shares(labels, near, k), power) for labels in found]
    best = int(np.array(scores, np.float32).argmax())  # of equal ones the first
    return heads.pick(best).cpu().eval(), found[best], scores[best]
