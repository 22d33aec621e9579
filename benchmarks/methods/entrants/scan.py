"""SCAN's clustering step: "SCAN: Learning to Classify Images without Labels", arXiv:2005.12320."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.methods.base import MethodFit, NeighbourPairs, Space, unit_variance
from benchmarks.methods.data import Features

WITH_VIEWS = True

N_NEIGHBORS = 20
N_HEADS = 10
ENTROPY_WEIGHT = 5.0
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 1e-4
N_EPOCHS = 100
STEPS = (10_000, 30_000)  # at least, at most


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    Ten linear heads on the frozen features, the way SCAN treats ImageNet; pairs are an image and
    one of its 20 nearest neighbours, each in any view there is; the head of lowest loss is kept.
    The self-labelling that follows in the paper trains the encoder, and is left out.

    As in the paper: 20 neighbours, lambda = 5, Adam at 1e-4, weight decay 1e-4, 100 epochs, batches
    of 128 on few classes and 512 on many (it has them from 50 on). Not as in the paper: at least
    10,000 steps, because on thousands of images 100 epochs leave heads at their start, and at most
    30,000, for the time it takes. Inputs are projected (`Space`: on
    1,280 dimensions a step is six times the work) and scaled (`unit_variance`).
    """
    space = Space(features, seed)
    pairs = NeighbourPairs(space, N_NEIGHBORS, seed)
    size = min(128 if n_clusters < 50 else 512, pairs.n)
    steps = min(max(N_EPOCHS * (pairs.n // size), STEPS[0]), STEPS[1])
    heads = train(pairs, space.dim, n_clusters, size=size, steps=steps, seed=seed)
    best = int(judge(heads, pairs).argmin())

    def label(points: np.ndarray) -> np.ndarray:
        weight, bias = heads[0][best].detach(), heads[1][best].detach()
        return (unit_variance(torch.from_numpy(points)) @ weight + bias).argmax(dim=1).numpy()

    return MethodFit(label(space.points()), lambda plain: label(space.new(plain)))


def scan_loss(P: torch.Tensor, Q: torch.Tensor, entropy_weight: float) -> torch.Tensor:
    """Semantic clustering loss, equation (2) of the paper, of each head.

        L = -(1/B) Σ_i log⟨p_i, q_i⟩ + λ Σ_c p̄_c log p̄_c,   p̄ = (1/B) Σ_i p_i

    Arguments:
        P, Q: (heads, batch, clusters), assignments of the images and of their neighbours.
        entropy_weight: λ.

    Returns:
        (heads,).
    """
    agreement = (P * Q).sum(dim=2).clamp_min(1e-8).log().mean(dim=1)
    mean = P.mean(dim=1)
    return -agreement - entropy_weight * torch.special.entr(mean).sum(dim=1)


def train(
    pairs: NeighbourPairs, dim: int, n_clusters: int, *, size: int, steps: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """All heads side by side: weights (heads, dim, clusters), biases (heads, 1, clusters)."""
    generator = torch.Generator().manual_seed(seed)
    bound = dim**-0.5  # PyTorch's start of a linear layer
    weight = torch.empty(N_HEADS, dim, n_clusters).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(N_HEADS, 1, n_clusters).uniform_(-bound, bound, generator=generator)
    heads = weight.requires_grad_(), bias.requires_grad_()
    adam = torch.optim.Adam(heads, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for images, neighbours in pairs.batches(size, steps):
        P, Q = assign(heads, images), assign(heads, neighbours)
        adam.zero_grad()
        scan_loss(P, Q, ENTROPY_WEIGHT).sum().backward()
        adam.step()
    return heads


@torch.no_grad()
def judge(heads: tuple[torch.Tensor, torch.Tensor], pairs: NeighbourPairs) -> torch.Tensor:
    """The loss of each head (heads,) over all images."""
    batches = [(assign(heads, a), assign(heads, b)) for a, b in pairs.every()]
    P, Q = (torch.cat(side, dim=1) for side in zip(*batches, strict=True))
    return scan_loss(P, Q, ENTROPY_WEIGHT)


def assign(heads: tuple[torch.Tensor, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """Rows (batch, dim) to assignments (heads, batch, clusters)."""
    weight, bias = heads
    return torch.baddbmm(bias, rows.expand(len(weight), -1, -1), weight).softmax(dim=2)
