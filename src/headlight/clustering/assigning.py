"""What a fitted head says of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from headlight.clustering.features import Features, require_finite
from headlight.clustering.heads import Flat, MLPHead
from headlight.clustering.projection import Projection
from headlight.clustering.tree_head import BLOCK, RegionHead, TreeHead, in_blocks

WALKED = 32_768  # rows that walk down a tree together

Head = Flat | RegionHead | TreeHead


@torch.no_grad()
def hard_labels(
    head: Head, rows: Callable[[torch.Tensor], torch.Tensor], n: int, batch: int = 4096
) -> np.ndarray:
    """The most probable cluster of every row: int64 (n,).

    Arguments:
        head: in evaluation mode.
        rows: int64 (batch,) to what the head takes, float32 (batch, dim).
        n: number of rows.
    """
    labels = np.empty(n, dtype=np.int64)
    for index in torch.arange(n).split(batch):
        labels[index[0] : index[-1] + 1] = head(rows(index)).argmax(dim=1).cpu()
    return labels


@torch.no_grad()
def head_logits(
    head: Head, projection: Projection, features: Features
) -> Iterator[tuple[int, torch.Tensor]]:
    """Logits of view 0, block by block.

    Arguments:
        head: in evaluation mode, on the CPU. An MLP reads features as they are, a linear head
            their projection.

    Returns:
        Numbers of the first rows, and the logits, float32 (rows, clusters).

    Raises:
        ValueError: a row is not finite.
    """
    block = torch.zeros(BLOCK, features.dim)
    for start in range(0, len(features), BLOCK):
        rows = features.rows(slice(start, start + BLOCK))
        require_finite(rows, range(start, start + len(rows)))
        block[: len(rows)] = rows
        x = block if isinstance(head, MLPHead) else projection(block)
        yield start, head(x)[: len(rows)]


def head_labels(head: Head, projection: Projection, features: Features) -> np.ndarray:
    """Most probable cluster of every row: int64 (n,). See `head_logits`."""
    return labels_and_margins(head, projection, features)[0]


@torch.no_grad()
def labels_and_margins(
    head: Head, projection: Projection, features: Features
) -> tuple[np.ndarray, np.ndarray]:
    """Most probable cluster of every row, int64 (n,), and its margin in logits, float32 (n,)."""
    labels, margins = np.empty(len(features), np.int64), np.empty(len(features), np.float32)
    if isinstance(head, TreeHead):
        for start, rows in features.chunks(WALKED):
            found = head.walk(in_blocks(projection, rows))
            part = slice(start, start + len(rows))
            labels[part] = found.clusters[:, 0].numpy()
            margins[part] = ((found.log_p[:, 0] - found.log_p[:, 1]) / head.temperature).numpy()
        return labels, margins
    for start, logits in head_logits(head, projection, features):
        part = slice(start, start + len(logits))
        best = logits.topk(min(2, head.n_clusters), dim=1).values
        margins[part] = (best[:, 0] - best[:, 1]).numpy() if best.shape[1] > 1 else np.inf
        labels[part] = logits.argmax(dim=1).numpy()
    return labels, margins


def head_probabilities(head: Head, projection: Projection, features: Features) -> np.ndarray:
    """Soft assignment of every row: float32 (n, clusters), rows summing to 1. See `head_logits`."""
    out = np.empty((len(features), head.n_clusters), dtype=np.float32)
    for start, logits in head_logits(head, projection, features):
        out[start : start + len(logits)] = logits.softmax(dim=1).numpy()
    return out


@torch.no_grad()
def best_two(
    head: Head, projection: Projection, features: Features
) -> tuple[np.ndarray, np.ndarray]:
    """The two most probable clusters of every row, and their probabilities.

    Arguments:
        head: in evaluation mode, on the CPU, of two clusters or more. Of a tree only some branches
            are evaluated (`TreeHead.walk`), and probabilities are right to a thousandth of them.

    Returns:
        int64 (n, 2) and float32 (n, 2).

    Raises:
        ValueError: a row is not finite.
    """
    clusters = np.zeros((len(features), 2), np.int64)
    shares = np.zeros((len(features), 2), np.float32)
    if isinstance(head, TreeHead):
        temperature = float(head.temperature)
        for start, rows in features.chunks(WALKED):
            found = head.walk(in_blocks(projection, rows), temperature)
            part = slice(start, start + len(rows))
            clusters[part] = found.clusters.numpy()
            shares[part] = ((found.log_p / temperature).exp() / found.total[:, None]).numpy()
        return clusters, shares
    for start, logits in head_logits(head, projection, features):
        # Twice the largest: where many are 0, `topk` names any of them.
        rest = logits.softmax(dim=1)
        for place in range(2):
            value, which = rest.max(dim=1)
            own = slice(start, start + len(logits)), place
            clusters[own], shares[own] = which.numpy(), value.numpy()
            rest.scatter_(1, which[:, None], -1.0)
    return clusters, shares
