"""Predictions of a fitted head, bit-identical for any batch of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from headlight.clustering.heads import Heads, MLPHead
from headlight.clustering.projection import Projection
from headlight.clustering.validation import Features, require_finite

# Rows in blocks of exactly so many, the last one padded: the arithmetic on a row is then the same
# whichever rows come with it.
BLOCK = 256


@torch.no_grad()
def head_logits(
    head: Heads, projection: Projection, features: Features
) -> Iterator[tuple[int, torch.Tensor]]:
    """Logits of view 0, block by block.

    Arguments:
        head: one, in evaluation mode, on the CPU. An MLP reads features as they are, linear heads
            their projection.

    Returns:
        Numbers of the first rows, and the logits, float32 (rows, clusters).

    Raises:
        ValueError: a row is not finite.
    """
    block = torch.zeros(BLOCK, features.dim)
    for start in range(0, features.n, BLOCK):
        rows = features.rows(slice(start, start + BLOCK))
        require_finite(rows, range(start, start + len(rows)))
        block[: len(rows)] = rows
        x = block if isinstance(head, MLPHead) else projection(block)
        yield start, head(x)[0, : len(rows)]


def head_labels(head: Heads, projection: Projection, features: Features) -> np.ndarray:
    """Most probable cluster of every row: int64 (n,). See `head_logits`."""
    return labels_and_margins(head, projection, features)[0]


def labels_and_margins(
    head: Heads, projection: Projection, features: Features
) -> tuple[np.ndarray, np.ndarray]:
    """Most probable cluster of every row, int64 (n,), and its margin in logits, float32 (n,)."""
    labels, margins = np.empty(features.n, np.int64), np.empty(features.n, np.float32)
    for start, logits in head_logits(head, projection, features):
        part = slice(start, start + len(logits))
        best = logits.topk(min(2, head.n_clusters), dim=1).values
        margins[part] = (best[:, 0] - best[:, 1]).numpy() if best.shape[1] > 1 else np.inf
        labels[part] = logits.argmax(dim=1).numpy()
    return labels, margins


def head_probabilities(head: Heads, projection: Projection, features: Features) -> np.ndarray:
    """Soft assignment of every row: float32 (n, clusters), rows summing to 1. See `head_logits`."""
    out = np.empty((features.n, head.n_clusters), dtype=np.float32)
    for start, logits in head_logits(head, projection, features):
        out[start : start + len(logits)] = logits.softmax(dim=1).numpy()
    return out
