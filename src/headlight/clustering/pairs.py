"""Positive pairs: two rows that should be assigned to the same cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch


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
