"""Training: pairs of rows, and Adam on a loss of their assignments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from headlight.clustering.assigning import Head
from headlight.clustering.constants import Constants
from headlight.clustering.features import Features
from headlight.clustering.graph import Graph
from headlight.clustering.heads import Flat, assign
from headlight.clustering.levels import ClusterEstimate
from headlight.clustering.projection import Projection
from headlight.clustering.quality import ClusterQuality

Inputs = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class Fitted:
    """What a recipe gives.

    Arguments:
        projection: of the features; "paper" has one for the graph alone.
        rows: int64 (m,), the rows that were learned from.
        graph: of these rows.
        n_clusters: K; estimate: what it was taken from, None where it was given.
        head: one, on the CPU, its logits divided by `temperature`.
        temperature: that calibrates its confidence.
        information: `graph_information` of its labels.
        others: int64 (resamples, m), other clusterings of the rows; of small groups and trees none.
        n_steps: training steps done.
        blocks_used: bool (n_blocks,), which encoders' features the head reads; None: there is one.
        of_parts: of a tree, what was found in its branches: quality and linkage of its clusters.
    """

    projection: Projection
    rows: np.ndarray
    graph: Graph
    n_clusters: int
    estimate: ClusterEstimate | None
    head: Head
    temperature: float
    information: float
    others: np.ndarray
    n_steps: int
    blocks_used: np.ndarray | None
    of_parts: tuple[ClusterQuality, np.ndarray] | None = None


@dataclass(frozen=True)
class Pairs:
    """A sampler of positive pairs.

    Arguments:
        n: rows; views: views of each.
        neighbours: int64 (n, k), or None: pairs are then two different views of one image.
        viewed: bool (n,), which rows have augmented views; None: all.
    """

    n: int
    views: int
    neighbours: torch.Tensor | None
    viewed: torch.Tensor | None = None

    @classmethod
    def of(cls, features: Features, neighbours: torch.Tensor | None) -> Pairs:
        """Pairs of all rows of some features."""
        viewed = torch.from_numpy(features.has_views(np.arange(len(features))))
        some = viewed.any() and not viewed.all()
        return cls(len(features), features.n_views, neighbours, viewed if some else None)

    @property
    def anchors(self) -> torch.Tensor:
        """Rows that pairs start from: all, but without neighbours only those with views."""
        if self.neighbours is not None or self.viewed is None:
            return torch.arange(self.n)
        return self.viewed.nonzero()[:, 0]

    def epoch(
        self, batch_size: int, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Batches (anchor, its view, partner, its view), each int64 (batch,).

        Each of `anchors` is in one pair; a last incomplete batch is dropped.
        """
        anchors = self.anchors
        order = anchors[torch.randperm(len(anchors), generator=generator)]
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield self.sample(order[start : start + batch_size], generator)

    def sample(
        self, anchor: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """One partner and two views for each anchor."""

        def draw(below: int) -> torch.Tensor:
            return torch.randint(below, (len(anchor),), generator=generator)

        view = draw(self.views)
        # A row paired with itself must come in another view, or there is nothing to learn.
        other_view = (view + 1 + draw(self.views - 1)) % self.views if self.views > 1 else view
        if self.neighbours is None:
            return anchor, view, anchor, other_view
        k = self.neighbours.shape[1]
        choice = draw(k + 1 if self.views > 1 else k)
        itself = choice == k
        if self.viewed is not None:
            itself &= self.viewed[anchor]
        partner = self.neighbours[anchor, choice.clamp_max(k - 1)]
        partner_view = torch.where(itself, other_view, draw(self.views))
        return anchor, view, torch.where(itself, anchor, partner), partner_view


def train(
    head: Flat,
    pairs: Pairs,
    inputs: Inputs,
    loss: Loss,
    constants: Constants,
    *,
    decay: bool,
    generator: torch.Generator,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Adam on a loss of the two sides of pairs.

    Arguments:
        head: rows (batch, dim) to logits (batch, clusters); trained in place.
        pairs: of rows.
        inputs: numbers of rows and their views, int64 (batch,), to float32 (batch, dim).
        loss: (P, Q, share of the training done, 0 to 1) to one number.
        constants: how long, how fast, and how many pairs a step.
        decay: whether the learning rate falls to zero along half a cosine.
        generator: of the pairs.
        progress: called with (steps done, n_steps) after every step.

    Returns:
        Steps done.
    """
    n_pairs = len(pairs.anchors)
    batch_size = min(constants.batch_size, n_pairs)
    steps_an_epoch = n_pairs // batch_size
    n_epochs = max(constants.n_epochs, math.ceil(constants.min_steps / steps_an_epoch))
    n_steps = n_epochs * steps_an_epoch
    batches = chain.from_iterable(pairs.epoch(batch_size, generator) for _ in range(n_epochs))

    def of_step(step: int) -> torch.Tensor:
        a, u, b, v = next(batches)
        P, Q = assign(head, inputs(a, u)), assign(head, inputs(b, v))
        return loss(P, Q, step / n_steps)

    _descend(head, of_step, n_steps, constants.learning_rate, decay=decay, progress=progress)
    return n_steps


def learn_labels(
    head: Flat,
    rows: torch.Tensor,
    labels: np.ndarray,
    constants: Constants,
    generator: torch.Generator,
) -> None:
    """Train a head in place to give rows their labels: Adam on the cross-entropy.

    Arguments:
        head: rows (batch, dim) to logits (batch, clusters).
        rows: float16 or float32 (n, dim).
        labels: int64 (n,), 0 to K − 1.
        constants: `start_steps` of `batch_size` rows, and `start_rate`.
        generator: of the batches.
    """
    device = next(head.parameters()).device
    wanted = torch.from_numpy(labels)
    size = min(len(rows), constants.batch_size)

    def of_step(step: int) -> torch.Tensor:
        picked = torch.randint(len(rows), (size,), generator=generator)
        logits = head(rows[picked].float().to(device))
        return torch.nn.functional.cross_entropy(logits, wanted[picked].to(device))

    _descend(head, of_step, constants.start_steps, constants.start_rate, decay=True)


def _descend(
    head: Flat,
    of_step: Callable[[int], torch.Tensor],
    n_steps: int,
    rate: float,
    *,
    decay: bool,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    head.train()
    optimizer = torch.optim.Adam(head.parameters(), lr=rate, fused=True)
    for step in range(n_steps):
        if decay:
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / n_steps))
        optimizer.zero_grad(set_to_none=True)
        of_step(step).backward()
        optimizer.step()
        if progress is not None:
            progress(step + 1, n_steps)
    head.eval()
