from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from headlight.clustering import Features
from headlight.clustering.assigning import head_probabilities
from headlight.clustering.calibration import (
    COLDEST,
    HOTTEST,
    calibrate,
    fit_temperature,
    resampled_partitions,
)
from headlight.clustering.constants import ROBUST
from headlight.clustering.heads import LinearHead
from headlight.clustering.projection import Projection


def confidence(logits: torch.Tensor, temperature: float) -> float:
    return float((logits / temperature).softmax(dim=1).max(dim=1).values.mean())


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


@pytest.mark.parametrize("wrong", [0.0, 0.1, 0.2])
def test_the_more_neighbours_are_torn_apart_the_less_confidence(wrong):
    """Mean confidence is a power of the share of edges inside clusters."""
    rng = np.random.default_rng(0)
    rows = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(2000, 5))), dim=1)
    head = LinearHead.from_centres(torch.eye(5), sharpness=60.0)
    labels = head(rows.float()).argmax(dim=1).numpy()
    own = np.stack([rng.permutation(np.flatnonzero(labels == k))[:10] for k in labels])
    other = np.stack([rng.permutation(np.flatnonzero(labels != k))[:10] for k in labels])
    near = np.where(rng.random(own.shape) < wrong, other, own)
    projection = Projection(torch.zeros(5), torch.eye(5))
    features = Features(rows.float())
    calibrate(
        head,
        projection,
        features,
        labels=labels,
        neighbours=torch.from_numpy(near),
        rows=np.arange(2000),
    )
    sure = head_probabilities(head, projection, features).max(axis=1).mean()
    assert sure == pytest.approx((1 - wrong) ** ROBUST.confidence_power, abs=0.03)


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
