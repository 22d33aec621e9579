"""Heads: they map rows to cluster logits."""

from __future__ import annotations

import torch
from torch import nn

from headlight.clustering.constants import ROBUST


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

    def favour(self, cluster: int, more: float) -> None:
        """Add `more` to log p/(1 − p) of a cluster."""
        with torch.no_grad():
            self.bias[cluster] += more

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


Flat = LinearHead | MLPHead
