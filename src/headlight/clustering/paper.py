"""The recipe of the paper: one MLP head on the features as they are, with views as pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from headlight.clustering.assigning import hard_labels
from headlight.clustering.calibration import calibrate, resampled_partitions
from headlight.clustering.constants import PaperConstants
from headlight.clustering.features import Features
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.heads import MLPHead
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.levels import estimate_clusters
from headlight.clustering.losses import scp_loss
from headlight.clustering.projection import fit_projection, project
from headlight.clustering.training import Fitted, Pairs, train


def fit_paper(
    features: Features,
    n_clusters: int | None,
    constants: PaperConstants,
    *,
    n_components: int,
    n_neighbors: int,
    blocks: Sequence[int] | None,
    device: torch.device,
    seed: int,
    progress: Callable[[int, int], object] | None = None,
) -> Fitted:
    """Fit the paper's head (arXiv:2502.04226); the graph is only for the number of clusters, the
    outlier scores and the like.

    Arguments: see `fit_robust`; rows without views are not learned from.
    """
    features = features.limit_views(constants.viewed_rows)
    rows = features.sample(constants.max_rows)
    projection = fit_projection(features, n_components, blocks, constants)
    points = project(features, projection, rows)
    graph = neighbour_graph(points, max(constants.graph_neighbors, n_neighbors))
    spectrum = Spectrum(graph, constants)
    estimate = estimate_clusters([spectrum], constants) if n_clusters is None else None
    k = estimate.n_clusters if estimate else int(n_clusters or 0)

    generator = torch.Generator().manual_seed(seed)
    head = MLPHead(features.dim, k, generator).to(device)

    def inputs(index: torch.Tensor, view: torch.Tensor | int = 0) -> torch.Tensor:
        return features.rows(rows[index], view).to(device)

    n_steps = train(
        head,
        Pairs.of(points, None),
        inputs,
        lambda P, Q, done: scp_loss(P, Q, constants.temperature, constants.entropy_weight),
        constants,
        decay=False,
        generator=generator,
        progress=progress,
    )
    labels = hard_labels(head, inputs, len(rows))
    shares = edge_shares(labels, graph.near(k), k)
    information = graph_information(shares, constants.information_power)
    head = head.cpu().eval()
    others = resampled_partitions(points.plain, k, constants)
    temperature = calibrate(
        head,
        projection,
        features,
        labels=labels,
        neighbours=graph.near(k),
        rows=rows,
        constants=constants,
    )
    used = None if blocks is None else np.ones(len(blocks), dtype=bool)
    return Fitted(
        projection, rows, graph, k, estimate, head, temperature, information, others, n_steps, used
    )
