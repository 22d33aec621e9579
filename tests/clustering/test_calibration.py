from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from headlight.clustering.calibration import (
    COLDEST,
    HOTTEST,
    agreement,
    fit_temperature,
    resampled_partitions,
)


def confidence(logits: torch.Tensor, temperature: float) -> float:
    return float((logits / temperature).softmax(dim=1).max(dim=1).values.mean())


def test_agreement_is_counted_after_matching_and_averaged_over_the_others():
    labels = np.array([0, 0, 1, 1, 2, 2])
    others = np.array([[2, 2, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]])
    assert agreement(labels, others, 3) == pytest.approx((1 + 4 / 6) / 2)
    assert agreement(labels, labels[None], 3) == 1


@pytest.mark.parametrize("shape", [(2, 4), (0, 5), (2, 0)])
def test_other_rows_or_nothing_to_compare_with_is_refused(shape):
    with pytest.raises(ValueError, match="others has shape"):
        agreement(np.zeros(5, dtype=np.int64), np.zeros(shape, dtype=np.int64), 2)


@given(st.integers(2, 5), st.integers(1, 30), st.integers(1, 4), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_agreement_does_not_depend_on_how_clusters_are_numbered(K, n, m, seed):
    rng = np.random.default_rng(seed)
    labels, others = rng.integers(K, size=n), rng.integers(K, size=(m, n))
    renumbered = np.stack([rng.permutation(K)[one] for one in others])
    found = agreement(labels, others, K)
    assert agreement(rng.permutation(K)[labels], renumbered, K) == pytest.approx(found)
    assert 1 / K <= found <= 1


@given(st.integers(2, 6), st.floats(0.1, 20), st.floats(0.02, 0.98), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_mean_confidence_meets_the_target_wherever_it_can(K, scale, position, seed):
    logits = scale * torch.randn(50, K, generator=torch.Generator().manual_seed(seed))
    low, high = confidence(logits, HOTTEST), confidence(logits, COLDEST)
    target = low + position * (high - low)
    assert confidence(logits, fit_temperature(logits, target)) == pytest.approx(target, abs=1e-3)


def test_a_known_temperature_is_found():
    """Two clusters, logits (a, 0): confidence σ(a / T), 0.9 at T = a / log 9."""
    logits = torch.tensor([[6.0, 0.0]]).repeat(10, 1)
    assert fit_temperature(logits, 0.9) == pytest.approx(6 / np.log(9), rel=1e-3)


def test_targets_out_of_reach_give_the_ends():
    logits = torch.tensor([[1.0, 0.0, 0.0]])
    assert fit_temperature(logits, 0.0) == HOTTEST
    assert fit_temperature(logits, 1.0) == COLDEST
    assert fit_temperature(torch.zeros(3, 4), 0.5) == COLDEST  # nothing sharpens equal logits


def test_one_cluster_needs_no_temperature():
    assert fit_temperature(torch.randn(5, 1), 0.3) == 1.0


def test_huge_logits_do_not_overflow():
    logits = torch.tensor([[1e30, 0.0], [3e38, -3e38]])
    assert np.isfinite(fit_temperature(logits, 0.7))


def test_less_agreement_makes_less_confidence():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(5 * rng.normal(size=(2000, 5))).float()
    head = logits.argmax(dim=1).numpy()
    confidences = []
    for wrong in (0.1, 0.3, 0.5):
        others = np.where(rng.random((3, 2000)) < wrong, rng.integers(5, size=(3, 2000)), head)
        target = agreement(head, others, 5)
        confidences.append(confidence(logits, fit_temperature(logits, target)))
    assert confidences == sorted(confidences, reverse=True)
    # A row drawn anew keeps its cluster one time in five: agreement 1 − 0.8 · wrong.
    assert confidences == pytest.approx([0.92, 0.76, 0.6], abs=0.03)


@pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(ValueError, match="target"):
        fit_temperature(torch.zeros(2, 2), target)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        fit_temperature(torch.zeros(0, 2), 0.5)


def points_of(X: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(X).float(), dim=1).half()


def test_groups_that_lie_apart_come_back_from_every_half(make_blobs):
    X, truth = make_blobs([80, 80, 80])
    found = resampled_partitions(points_of(X[:, 0]), 3)
    assert found.shape == (4, 240)
    assert found.dtype == np.int64
    assert all(adjusted_rand_score(truth, one) == 1 for one in found)


def test_where_there_are_no_groups_halves_disagree_and_every_call_gives_the_same():
    points = points_of(np.random.default_rng(0).normal(size=(400, 6)))
    found = resampled_partitions(points, 8)
    assert adjusted_rand_score(found[0], found[1]) < 0.8
    assert (found == resampled_partitions(points, 8)).all()


@pytest.mark.parametrize(("n", "k"), [(2, 1), (2, 2), (7, 6), (10, 10)])
def test_hardly_more_rows_than_clusters_are_enough(n, k):
    points = points_of(np.random.default_rng(0).normal(size=(n, 4)))
    found = resampled_partitions(points, k)
    assert found.min() >= 0
    assert found.max() < k
