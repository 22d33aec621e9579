"""TURTLE: "Let Go of Your Labels with Unsupervised Transfer", arXiv:2406.07236, in one space."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from benchmarks.methods.base import MethodFit, Space, unit_variance
from benchmarks.methods.data import Features

ITERATIONS = 6000
INNER_STEPS = 10
GAMMA = 10.0
LEARNING_RATE = 1e-3  # of both levels
BATCH = 10_000
# Multiplications a fit may cost, in rows × dimensions × clusters × iterations: 10,000 images a
# batch and 10 clusters get 4,000 iterations.
BUDGET = 10_000 * 200 * 10 * 4000
FEWEST = 1000


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    Searches the labelling which a linear classifier, trained from a fresh start for a few steps,
    learns best: labels come from a linear task encoder with weight normalisation, equation (9)
    for one space; its gradient is the first-order one, equation (13).

    As its authors set it: gamma = 10, 10 inner steps, a cold start, batches of 10,000, Adam at 1e-3
    on both levels, 6,000 iterations. Not as there: fewer iterations, down to 1,000, where clusters
    are many (`BUDGET`), for the time it takes on a CPU; inputs projected (`Space`: on 1,280
    dimensions a step is six times the work) and scaled (`unit_variance`).
    """
    space = Space(features, seed)
    X = unit_variance(torch.from_numpy(space.points()))
    size = min(BATCH, len(X))
    iterations = min(ITERATIONS, max(FEWEST, BUDGET // (size * space.dim * n_clusters)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = train(X, n_clusters, size=size, iterations=iterations)

    @torch.no_grad()
    def label(points: torch.Tensor) -> np.ndarray:
        return encoder(points).argmax(dim=1).numpy()

    def predict(plain: np.ndarray) -> np.ndarray:
        return label(unit_variance(torch.from_numpy(space.new(plain))))

    return MethodFit(label(X), predict)


def train(X: torch.Tensor, n_clusters: int, *, size: int, iterations: int) -> torch.nn.Module:
    """The task encoder: rows (batch, d) to logits of their labels (batch, clusters)."""
    encoder = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(X.shape[1], n_clusters))
    adam = torch.optim.Adam(encoder.parameters(), lr=LEARNING_RATE)
    for _ in range(iterations):
        batch = X if size == len(X) else X[torch.randperm(len(X))[:size]]
        adam.zero_grad()
        objective(batch, encoder(batch).softmax(dim=1), GAMMA).backward()
        adam.step()
    return encoder


def objective(X: torch.Tensor, labels: torch.Tensor, gamma: float) -> torch.Tensor:
    """How badly a classifier learns a labelling, and how unevenly it is spread; equation (12).

        L(θ) = CE(w_M(X), τ_θ(X)) - γ H(mean τ_θ(X))

    w_M is the classifier after M steps on these labels, and a constant for the gradient.

    Arguments:
        X: (batch, d).
        labels: τ_θ(X), (batch, clusters), rows summing to 1.

    Returns:
        A scalar.
    """
    classifier = inner(X, labels.detach())
    with torch.no_grad():
        logits = classifier(X)
    entropy = torch.special.entr(labels.mean(dim=0)).sum()
    return cross_entropy(logits, labels) - gamma * entropy


def inner(X: torch.Tensor, labels: torch.Tensor) -> torch.nn.Linear:
    """A linear classifier, trained for M steps from a random start on soft labels."""
    classifier = torch.nn.Linear(X.shape[1], labels.shape[1])
    adam = torch.optim.Adam(classifier.parameters(), lr=LEARNING_RATE)
    for _ in range(INNER_STEPS):
        adam.zero_grad()
        cross_entropy(classifier(X), labels).backward()
        adam.step()
    return classifier
