from __future__ import annotations

import numpy as np
import pytest

from headlight.review import strangers
from headlight.runs.projected import unit


def rows(kind: int, n: int, seed: int) -> np.ndarray:
    centre = np.random.default_rng(1000 + kind).normal(size=30)
    return unit(centre + 0.5 * np.random.default_rng(seed).normal(size=(n, 30))).astype(np.float16)


def none(rows: np.ndarray, references: np.ndarray, least: np.ndarray) -> np.ndarray:
    return ((rows.astype(np.float32) @ references.T) < least).all(axis=1)


def reference_points(old, labels, hand=()):
    by_hand = np.zeros(len(old), bool)
    by_hand[list(hand)] = True
    return strangers.reference_points(old, labels, by_hand)


OLD = np.concatenate([rows(kind, 200, kind) for kind in range(4)])
LABELS = np.repeat(np.arange(4), 200)


def test_unseen_rows_of_known_kinds_belong_and_those_of_others_do_not():
    found = reference_points(OLD, LABELS)
    unseen = np.concatenate([rows(kind, 200, 50 + kind) for kind in range(4)])
    assert none(OLD, *found).mean() <= 0.01
    assert none(unseen, *found).mean() <= 0.03
    assert none(np.concatenate([rows(8, 100, 1), rows(9, 100, 2)]), *found).mean() > 0.9


def test_references_are_few_and_of_length_1():
    points, least = reference_points(OLD, LABELS)
    assert points.dtype == least.dtype == np.float32
    assert len(points) == len(least)
    assert 4 <= len(points) <= 4 * 20
    assert np.allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("groups, most", [(150, 150 * 13), (2500, 2500)])
def test_many_groups_have_few_references_each(groups, most):
    rng = np.random.default_rng(0)
    old = unit(rng.normal(size=(groups * 4, 8))).astype(np.float16)
    points, _ = reference_points(old, np.arange(len(old)) % groups)
    assert groups <= len(points) <= most


def test_groups_of_single_rows_know_themselves():
    old = np.concatenate([OLD, rows(8, 1, 5), rows(9, 2, 6)])
    labels = np.concatenate([LABELS, [4, 5, 5]])
    assert none(old, *reference_points(old, labels)).mean() <= 0.01
    assert not none(old[800:801], *reference_points(old, labels)).any()


def test_what_a_person_has_placed_belongs_and_what_is_like_it():
    odd = rows(8, 60, 5)
    old, labels = np.concatenate([OLD, odd[:1]]), np.append(LABELS, 0)
    assert none(odd, *reference_points(old, labels)).mean() > 0.9
    points, least = reference_points(old, labels, [5, 800])
    assert len(points) == len(reference_points(old, labels)[0]) + 1  # row 5 belongs anyway
    assert none(odd, points, least).mean() < 0.1
    assert none(rows(9, 60, 6), points, least).mean() > 0.9


def test_only_single_rows_leave_nothing_to_learn_bounds_from():
    old = unit(np.eye(5, 30)).astype(np.float16)
    assert not none(-old, *reference_points(old, np.arange(5))).any()


def test_equal_rows_and_no_rows():
    same = unit(np.ones((40, 30))).astype(np.float16)
    points, least = reference_points(same, np.zeros(40, int))
    assert not none(same, points, least).any()
    points, least = reference_points(np.empty((0, 30), np.float16), np.empty(0, int))
    assert points.shape == (0, 30)
    assert least.shape == (0,)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="labels has 3"):
        reference_points(OLD, LABELS[:3])
