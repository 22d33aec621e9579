"""Heads: they map rows to cluster logits."""

from __future__ import annotations

import torch
from torch import nn

SHARPNESS = 20.0


class LinearHeads(nn.Module):
    """Many independent linear heads, computed in one matrix product.

    Logits are stored clusters first, batch last: every operation on a cluster's column, and the
    softmax over clusters, then runs along contiguous memory, some four times faster.

    Arguments:
        n_heads, dim, n_clusters: sizes.

    The weights are zero, to be loaded; `LinearHeads.started` creates heads for training.
    """

    def __init__(self, n_heads: int, dim: int, n_clusters: int) -> None:
        super().__init__()
        self.n_heads, self.n_clusters = n_heads, n_clusters
        self.weight = nn.Parameter(torch.zeros(n_heads * n_clusters, dim))
        self.bias = nn.Parameter(torch.zeros(n_heads * n_clusters))

    @classmethod
    def started(cls, centres: torch.Tensor) -> LinearHeads:
        """Heads whose logits are 20 times the cosine to the centres (heads, clusters, dim)."""
        n_heads, n_clusters, dim = centres.shape
        heads = cls(n_heads, dim, n_clusters)
        with torch.no_grad():
            heads.weight.copy_(SHARPNESS * centres.flatten(0, 1))
        return heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 (batch, dim) to logits (heads, batch, clusters)."""
        logits = torch.addmm(self.bias[:, None], self.weight, x.T)
        return logits.view(self.n_heads, self.n_clusters, len(x)).mT

    def pick(self, head: int) -> LinearHeads:
        """One of the heads."""
        one = LinearHeads(1, self.weight.shape[1], self.n_clusters)
        rows = slice(head * self.n_clusters, (head + 1) * self.n_clusters)
        with torch.no_grad():
            one.weight.copy_(self.weight[rows])
            one.bias.copy_(self.bias[rows])
        return one

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the clusters of a single head: new cluster i is old cluster order[i]."""
        with torch.no_grad():
            self.weight.copy_(self.weight[order])
            self.bias.copy_(self.bias[order])

    def cool(self, temperature: float) -> None:
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

    n_heads = 1

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
        """Float32 (batch, dim) to logits (1, batch, clusters)."""
        return self.out(torch.relu(self.norm(self.hidden(x))))[None]

    def pick(self, head: int) -> MLPHead:
        """Itself: there is one."""
        return self

    def reorder(self, order: torch.Tensor) -> None:
        """Renumber the clusters: new cluster i is old cluster order[i]."""
        with torch.no_grad():
            self.out.weight.copy_(self.out.weight[order])
            self.out.bias.copy_(self.out.bias[order])

    def cool(self, temperature: float) -> None:
        """Divide the logits by `temperature`."""
        with torch.no_grad():
            self.out.weight.div_(temperature)
            self.out.bias.div_(temperature)


def assign(heads: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Soft assignments (heads, batch, clusters) of the rows x (batch, dim)."""
    return heads(x).mT.softmax(dim=1).mT


Heads = LinearHeads | MLPHead
