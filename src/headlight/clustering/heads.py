"""Heads: they map rows to cluster logits; and what a fitted one says of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from headlight.clustering.constants import ROBUST
from headlight.clustering.features import Features, require_finite
from headlight.clustering.projection import Projection

# Rows in blocks of exactly so many, the last one padded: the arithmetic on a row is then the same
# whichever rows come with it.
BLOCK = 256


class LinearHead(nn.Module):
    """dim → clusters.

    Logits are stored clusters first, batch last: every operation on a cluster's column, and the
    softmax over clusters, then runs along contiguous memory, some four times faster.

    Arguments:
        dim, n_clusters: sizes.

    The weights are zero, to be loaded; `LinearHead.from_centres` creates a head for training.
    """

    def __init__(self, dim: int, n_clusters: int) -> None:
        super().__init__()
        self.n_clusters = n_clusters
        self.weight = nn.Parameter(torch.zeros(n_clusters, dim))
        self.bias = nn.Parameter(torch.zeros(n_clusters))

    @classmethod
    def from_centres(cls, centres: torch.Tensor, sharpness: float = ROBUST.sharpness) -> LinearHead:
        """A head whose logits are `sharpness` times the cosine to centres (clusters, dim)."""
        n_clusters, dim = centres.shape
        head = cls(dim, n_clusters)
        with torch.no_grad():
            head.weight.copy_(sharpness * centres)
        return head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to logits (batch, clusters)."""
        return torch.addmm(self.bias[:, None], self.weight, x.T).T

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the clusters: new cluster i is old cluster order[i]."""
        with torch.no_grad():
            self.weight.copy_(self.weight[order])
            self.bias.copy_(self.bias[order])

    def scale_logits(self, temperature: float) -> None:
        """Divide the logits by `temperature`."""
        with torch.no_grad():
            self.weight.div_(temperature)
            self.bias.div_(temperature)


class MLPHead(nn.Module):
    """The paper's head: dim → dim, BatchNorm, ReLU, → clusters.

    Arguments:
        dim, n_clusters: sizes.
        generator: source of the starting weights (PyTorch's uniform ±1/√dim); None leaves zeros.
    """

    def __init__(self, dim: int, n_clusters: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.n_clusters = n_clusters
        self.hidden = nn.Linear(dim, dim)
        self.norm = nn.BatchNorm1d(dim)
        self.out = nn.Linear(dim, n_clusters)
        with torch.no_grad():
            for layer in (self.hidden, self.out):
                for parameter in (layer.weight, layer.bias):
                    if generator is None:
                        parameter.zero_()
                    else:
                        parameter.uniform_(-(dim**-0.5), dim**-0.5, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to logits (batch, clusters)."""
        return self.out(torch.relu(self.norm(self.hidden(x))))

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the clusters: new cluster i is old cluster order[i]."""
        with torch.no_grad():
            self.out.weight.copy_(self.out.weight[order])
            self.out.bias.copy_(self.out.bias[order])

    def scale_logits(self, temperature: float) -> None:
        """Divide the logits by `temperature`."""
        with torch.no_grad():
            self.out.weight.div_(temperature)
            self.out.bias.div_(temperature)


def assign(head: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Soft assignments (batch, clusters) of the rows x (batch, dim)."""
    return head(x).T.softmax(dim=0).T


Head = LinearHead | MLPHead


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


def labels_and_margins(
    head: Head, projection: Projection, features: Features
) -> tuple[np.ndarray, np.ndarray]:
    """Most probable cluster of every row, int64 (n,), and its margin in logits, float32 (n,)."""
    labels, margins = np.empty(len(features), np.int64), np.empty(len(features), np.float32)
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
