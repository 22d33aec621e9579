"""Clusterings of halves of the rows, which calibration and stability compare with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from headlight.clustering.resampling import resampled_partitions


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
