from __future__ import annotations

import numpy as np
import pytest
import torch

from headlight.clustering import duplicates
from headlight.clustering.duplicates import near_duplicates
from headlight.clustering.neighbours import nearest_neighbours
from headlight.clustering.validation import Features


def distinct(n: int, dim: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def groups(X: np.ndarray, rows: np.ndarray | None = None, **options) -> np.ndarray:
    rows = np.arange(len(X)) if rows is None else rows
    features = Features(X)
    points = torch.nn.functional.normalize(features.rows(rows), dim=1)
    near = nearest_neighbours(points, 10)
    return near_duplicates(features, *near, rows, torch.zeros(features.dim), **options)


def test_copies_with_little_noise_form_groups_numbered_by_their_first_row():
    X = distinct(40)
    X[30] = X[7] + 0.05 * distinct(1, seed=1)
    X[12] = X[35] * 1.5
    X[3] = X[30]
    expected = np.full(40, -1)
    expected[[3, 7, 30]] = 0
    expected[[12, 35]] = 1
    assert groups(X).tolist() == expected.tolist()
    assert groups(X).dtype == np.int64


def test_distinct_rows_have_no_group():
    assert (groups(distinct(50)) == -1).all()


def test_a_chain_of_near_duplicates_is_one_group():
    angles = np.arange(12) * 0.2  # neighbours in the chain 11.5 degrees apart, its ends 126
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert (groups(X) == 0).all()
    assert (groups(X, threshold=0.99) == -1).all()


def test_a_group_larger_than_the_neighbours_compared_stays_one():
    X = distinct(60)
    X[5:35] = X[5] + 0.05 * distinct(30, seed=2)
    found = groups(X)
    assert (found[5:35] == 0).all()
    assert (np.delete(found, np.s_[5:35]) == -1).all()


def test_equal_rows_are_found_at_threshold_1():
    X = distinct(20)
    X[9] = X[4]
    assert np.flatnonzero(groups(X, threshold=1.0) == 0).tolist() == [4, 9]


def test_rows_outside_the_graph_have_no_group():
    X = distinct(30)
    X[20], X[21] = X[2], X[4]
    rows = np.setdiff1d(np.arange(30), [21])
    found = groups(X, rows)
    assert np.flatnonzero(found >= 0).tolist() == [2, 20]


def test_the_mean_is_taken_off_first():
    """Far from the origin every cosine is near 1."""
    X = distinct(30) + 100
    features = Features(X)
    near = nearest_neighbours(torch.from_numpy(X - 100), 5)
    found = near_duplicates(features, *near, np.arange(30), torch.full((64,), 100.0))
    assert (found == -1).all()


def test_view_0_is_compared_and_chunks_change_nothing(monkeypatch):
    X = distinct(100)
    X[60:80] = X[:20]
    views = np.stack([X, np.ones_like(X)], axis=1).astype(np.float16)
    expected = groups(views)
    assert (expected[:20] == np.arange(20)).all()
    assert (expected[60:80] == np.arange(20)).all()
    monkeypatch.setattr(duplicates, "CHUNK", 8)
    assert (groups(views) == expected).all()


def test_rows_far_apart_in_the_projection_are_not_compared():
    X = distinct(20)
    X[9] = X[4]
    index, similarities = nearest_neighbours(torch.nn.functional.normalize(torch.tensor(X)), 5)
    rows, mean = np.arange(20), torch.zeros(64)
    near = near_duplicates(Features(X), index, similarities, rows, mean)
    far = near_duplicates(Features(X), index, similarities - 0.5, rows, mean)
    assert np.flatnonzero(near == 0).tolist() == [4, 9]
    assert (far == -1).all()


def test_a_row_without_direction_has_no_duplicate():
    X = distinct(20)
    X[[3, 8]] = 0
    assert (groups(X) == -1).all()


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        groups(distinct(10), threshold=threshold)


def test_neighbours_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="neighbours has 3 rows"):
        near = torch.zeros(3, 2).long(), torch.ones(3, 2)
        near_duplicates(Features(distinct(5)), *near, np.arange(5), torch.zeros(64))
