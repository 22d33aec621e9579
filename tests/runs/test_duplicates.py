from __future__ import annotations

import numpy as np
import pytest

from headlight.runs import duplicates
from headlight.runs.duplicates import near_duplicates
from headlight.runs.projected import unit


def distinct(n: int, dim: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def groups(X: np.ndarray, **options) -> np.ndarray:
    return near_duplicates(X, unit(X), np.zeros(X.shape[1], np.float32), **options)


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


def test_of_very_many_rows_a_sample_is_compared(monkeypatch):
    X = distinct(30)
    X[15:] = X[:15]
    assert (groups(X) >= 0).all()
    monkeypatch.setattr(duplicates, "MOST_ROWS", 10)
    assert (groups(X) < 0).sum() >= 20


def test_the_mean_is_taken_off_first():
    """Far from the origin every cosine is near 1."""
    X, alike = distinct(30) + 100, np.ones((30, 1), np.float32)
    assert (near_duplicates(X, alike, np.full(64, 100, np.float32)) == -1).all()
    assert (near_duplicates(X, alike, np.zeros(64, np.float32)) == 0).all()


def test_chunks_change_nothing(monkeypatch):
    X = distinct(100).astype(np.float16)
    X[60:80] = X[:20]
    expected = groups(X)
    assert (expected[:20] == np.arange(20)).all()
    assert (expected[60:80] == np.arange(20)).all()
    monkeypatch.setattr(duplicates, "CHUNK", 8)
    assert (groups(X) == expected).all()


def test_rows_far_apart_in_the_projection_are_not_compared():
    X = distinct(20)
    X[9] = X[4]
    projected = unit(X)
    assert np.flatnonzero(groups(X) == 0).tolist() == [4, 9]
    projected[9] = projected[0]
    assert (near_duplicates(X, projected, np.zeros(64, np.float32)) == -1).all()


def test_a_row_without_direction_has_no_duplicate():
    X = distinct(20)
    X[[3, 8]] = 0
    assert (groups(X) == -1).all()


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        groups(distinct(10), threshold=threshold)


def test_projections_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="projected has 3"):
        near_duplicates(distinct(5), distinct(3), np.zeros(64, np.float32))
