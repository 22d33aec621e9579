"""Each loss against a plain NumPy version of its equation, gradients included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headlight.clustering import losses


def cross_view(P, Q, temperature):
    K = P.shape[1]
    columns = [*P.T, *Q.T]
    unit = [c / np.sqrt((c**2).sum()) for c in columns]
    total = 0.0
    for a in range(2 * K):
        others = sum(np.exp(unit[a] @ unit[b] / temperature) for b in range(2 * K) if b != a)
        total -= np.log(np.exp(unit[a] @ unit[(a + K) % (2 * K)] / temperature) / others)
    return total / (2 * K)


def confidence(P, Q):
    return -np.log(np.mean([p @ q for p, q in zip(P, Q, strict=True)]))


def entropy(P, Q):
    return sum((m * np.log(m)).sum() for m in (P.mean(axis=0), Q.mean(axis=0)))


def agreement(P, Q, beta, gamma):
    prior = (P.mean(axis=0) + Q.mean(axis=0)) / 2
    weighted = (P * Q) ** beta / prior**gamma
    return -np.mean([np.log(row.sum()) for row in weighted])


def scp(P, Q, temperature, alpha):
    return cross_view(P, Q, temperature) + confidence(P, Q) + alpha * entropy(P, Q)


CASES = {
    "cross_view": (losses.cross_view_loss, cross_view, (0.5,)),
    "cross_view_cold": (losses.cross_view_loss, cross_view, (0.1,)),
    "confidence": (losses.confidence_loss, confidence, ()),
    "entropy": (losses.entropy_loss, entropy, ()),
    "agreement": (losses.agreement_loss, agreement, (0.6, 1.0)),
    "agreement_mild": (losses.agreement_loss, agreement, (0.9, 0.5)),
    "scp": (losses.scp_loss, scp, (0.5, 5.0)),
}


def assignments(seed: int, batch: int = 7, clusters: int = 4) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(batch, clusters))
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("case", CASES)
def test_loss_equals_its_equation(case):
    ours, plain, constants = CASES[case]
    P, Q = assignments(0), assignments(1)
    found = ours(torch.from_numpy(P), torch.from_numpy(Q), *constants)
    assert float(found) == pytest.approx(plain(P, Q, *constants), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_gradient_equals_finite_differences_of_the_equation(case):
    ours, plain, constants = CASES[case]
    P, Q = assignments(2), assignments(3)
    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (P, Q)]
    ours(*tensors, *constants).backward()
    step = 1e-6
    for side, tensor in enumerate(tensors):
        numeric = np.zeros_like(P)
        for index in np.ndindex(P.shape):
            ends = []
            for sign in (1, -1):
                moved = [P.copy(), Q.copy()]
                moved[side][index] += sign * step
                ends.append(plain(*moved, *constants))
            numeric[index] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(tensor.grad.numpy(), numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_stay_finite_for_hard_assignments_and_an_empty_cluster(case):
    ours, _, constants = CASES[case]
    hard = torch.zeros(6, 3)
    hard[torch.arange(6), torch.arange(6) % 2] = 1
    P, Q = hard.clone().requires_grad_(), hard.flip(0).clone().requires_grad_()
    value = ours(P, Q, *constants)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(P.grad).all()
    assert torch.isfinite(Q.grad).all()


def test_every_loss_prefers_agreement_on_even_clusters_to_chance():
    sharp = torch.full((8, 4), 0.01)
    sharp[torch.arange(8), torch.arange(8) % 4] = 0.97
    shuffled = sharp[torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])]
    for name in ("cross_view", "confidence", "agreement", "scp"):
        ours, _, constants = CASES[name]
        assert ours(sharp, sharp, *constants) < ours(sharp, shuffled, *constants), name
