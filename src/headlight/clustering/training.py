"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from headlight.clustering.heads import Heads, assign

Batch = tuple[torch.Tensor, torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def train(
    heads: Heads,
    batches: Iterator[Batch],
    loss: Loss,
    *,
    n_steps: int,
    learning_rate: float,
    decay: bool,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Adam on the sum of the heads' losses; heads share no weights, so each learns alone.

    Arguments:
        heads: rows (batch, dim) to logits (heads, batch, clusters); trained in place.
        batches: at least n_steps pairs of rows, each float32 (batch, dim).
        loss: (P, Q, share of the training done, 0 to 1) to one number per head.
        n_steps, learning_rate, decay: how long, how fast, and whether to slow down to nothing.
        progress: called with (steps done, n_steps) after every step.
    """
    heads.train()
    optimizer = torch.optim.Adam(heads.parameters(), lr=learning_rate, fused=True)
    for step in range(n_steps):
        if decay:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / n_steps))
        first, second = next(batches)
        optimizer.zero_grad(set_to_none=True)
        P, Q = assign(heads, first), assign(heads, second)
        loss(P, Q, step / n_steps).sum().backward()
        optimizer.step()
        if progress is not None:
            progress(step + 1, n_steps)
    heads.eval()


@torch.no_grad()
def hard_labels(
    heads: Heads, rows: Callable[[torch.Tensor], torch.Tensor], n: int, batch: int = 4096
) -> np.ndarray:
    """Every head's most probable cluster of every row: int64 (heads, n).

    Arguments:
        heads: in evaluation mode.
        rows: int64 (batch,) to what heads take, float32 (batch, dim).
        n: number of rows.
    """
    labels = np.empty((heads.n_heads, n), dtype=np.int64)
    for index in torch.arange(n).split(batch):
        labels[:, index[0] : index[-1] + 1] = heads(rows(index)).argmax(dim=2).cpu()
    return labels
