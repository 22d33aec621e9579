"""Trains the heads of a recipe on pairs, and scores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import torch

from headlight.clustering.graph import Graph
from headlight.clustering.heads import Heads, LinearHeads, MLPHead
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.losses import agreement_loss, entropy_loss, scp_loss
from headlight.clustering.pairs import Pairs
from headlight.clustering.recipes import Recipe
from headlight.clustering.training import Batch, hard_labels, train
from headlight.clustering.validation import Features


@dataclass(frozen=True)
class TrainedHeads:
    """Trained heads and their scores.

    Arguments:
        heads: H of them, in evaluation mode.
        labels: int64 (H, rows), of view 0 by every head.
        scores: float32 (H,), `graph_information` of each head's labels.
        n_steps: training steps done.
    """

    heads: Heads
    labels: np.ndarray
    scores: np.ndarray
    n_steps: int


def learn(
    features: Features,
    rows: np.ndarray,
    graph: Graph,
    recipe: Recipe,
    n_clusters: int,
    *,
    start: Callable[[], torch.Tensor],
    n_neighbors: int,
    temperature: float,
    device: torch.device,
    generator: torch.Generator,
    progress: Callable[[int, int], object] | None = None,
) -> TrainedHeads:
    """Train heads by a recipe.

    Arguments:
        features: all rows; `rows` of them, int64, are learned from and are in the graph.
        n_clusters: K.
        start: gives the first centres of linear heads, float32 (heads, K, dim).
        n_neighbors: neighbours that a row may be paired with, at most.
        temperature: of the loss "scp".
        device: where to train.
        generator: of the pairs and of the MLP head's first weights.
        progress: called with (steps done, steps in all).
    """
    mlp = recipe.head == "mlp"
    neighbours = None if recipe.pairs == "views" else graph.near(n_clusters)[:, :n_neighbors]
    viewed = torch.from_numpy(features.has_views(rows))
    pairs = Pairs(
        len(rows), features.views, neighbours, viewed if viewed.any() and not viewed.all() else None
    )
    heads: Heads
    heads = MLPHead(features.dim, n_clusters, generator) if mlp else LinearHeads.started(start())
    heads.to(device)

    def inputs(index: torch.Tensor, view: torch.Tensor | int) -> torch.Tensor:
        if mlp:
            return features.rows(rows[index], view).to(device)
        return graph.rows[index, view].to(device).float()

    def epoch(batch_size: int) -> Iterator[Batch]:
        for a, u, b, v in pairs.epoch(batch_size, generator):
            yield inputs(a, u), inputs(b, v)

    def loss(P: torch.Tensor, Q: torch.Tensor, done: float) -> torch.Tensor:
        if recipe.loss == "scp":
            return scp_loss(P, Q, temperature, recipe.entropy_weight)
        beta = recipe.beta[0] + (recipe.beta[1] - recipe.beta[0]) * done
        value = agreement_loss(P, Q, beta, recipe.gamma)
        if recipe.entropy_weight:
            value = value + recipe.entropy_weight * entropy_loss(P, Q)
        return value

    n_steps = recipe.n_epochs * (len(pairs.anchors) // recipe.batch_size)
    train(
        heads,
        chain.from_iterable(epoch(recipe.batch_size) for _ in count()),
        loss,
        n_steps=n_steps,
        learning_rate=recipe.learning_rate,
        decay=recipe.decay,
        progress=progress,
    )
    labels = hard_labels(heads, lambda index: inputs(index, 0), len(rows))
    shares = [edge_shares(one, graph.near(n_clusters), n_clusters) for one in labels]
    scores = np.array([graph_information(one) for one in shares], dtype=np.float32)
    return TrainedHeads(heads, labels, scores, n_steps)
