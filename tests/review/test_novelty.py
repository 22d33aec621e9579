from __future__ import annotations

import numpy as np
import pytest

from headlight.review.novelty import novel_rows

DIM = 40


def rows(kind: int, n: int, seed: int) -> np.ndarray:
    """Rows around a centre of their kind: float16 (n, DIM)."""
    centre = 4 * np.random.default_rng(1000 + kind).normal(size=DIM)
    return (5 + centre + 2 * np.random.default_rng(seed).normal(size=(n, DIM))).astype(np.float16)


def collection(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    old = np.concatenate([rows(kind, n, seed=kind) for kind, n in enumerate(sizes)])
    return old, np.repeat(np.arange(len(sizes)), sizes)


OLD, LABELS = collection((150, 100, 60))


def test_rows_of_a_new_kind_make_a_group_and_the_others_join():
    new = np.concatenate([rows(0, 40, 10), rows(7, 25, 11), rows(2, 30, 12)])
    groups = novel_rows(OLD, LABELS, new).groups
    assert groups.dtype == np.int64
    assert (groups[40:65] == 0).mean() > 0.95
    assert (np.delete(groups, np.s_[40:65]) == -1).all()


def test_two_new_kinds_are_two_groups_the_largest_first():
    old, labels = collection((60,) * 8)
    new = np.concatenate([rows(20, 40, 10), rows(21, 60, 11), rows(1, 30, 12)])
    groups = novel_rows(old, labels, new).groups
    assert (groups[:40] == 1).mean() > 0.95
    assert (groups[40:100] == 0).mean() > 0.95
    assert (groups[100:] == -1).all()


def test_a_handful_of_a_new_kind_is_found_among_few_new_rows():
    new = np.concatenate([rows(0, 41, 10), rows(7, 9, 11)])
    groups = novel_rows(OLD, LABELS, new).groups
    assert (groups[41:] == 0).sum() >= 7
    assert (groups[:41] == -1).all()


@pytest.mark.parametrize("seed", range(4))
def test_more_of_the_same_is_nothing_new(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 120, size=3)
    new = np.concatenate([rows(kind, n, 10 + seed) for kind, n in enumerate(counts)])
    assert (novel_rows(OLD, LABELS, new).groups == -1).all()


def test_many_new_rows_of_one_old_group_join_it():
    assert (novel_rows(OLD, LABELS, rows(2, 600, 10)).groups == -1).all()


def test_new_rows_among_themselves_join_where_they_are_as_near_as_old_ones_are():
    rng = np.random.default_rng(5)
    inside = 5 + 4 * np.random.default_rng(1000).normal(size=DIM) + 1.2 * rng.normal(size=DIM)
    noise = np.random.default_rng(0).normal(size=(200, DIM))
    new = (inside + 0.9 * noise).astype(np.float16)  # one side of the first kind
    assert (novel_rows(OLD, LABELS, new).groups == -1).all()


def test_a_burst_of_near_duplicates_is_no_group():
    one = rows(1, 1, 10)
    burst = (one + 0.05 * np.random.default_rng(0).normal(size=(100, DIM))).astype(np.float16)
    assert (novel_rows(OLD, LABELS, burst).groups == -1).all()


def test_more_new_rows_than_are_compared_are_placed_all():
    old, labels = collection((40, 40))
    new = np.concatenate([rows(7, 300, 10), rows(0, 300, 11)])
    groups = novel_rows(old, labels, new).groups
    assert (groups[:300] >= 0).mean() > 0.95
    assert (groups[300:] == -1).mean() > 0.98


def test_old_rows_are_thinned_in_large_groups_only(monkeypatch):
    monkeypatch.setattr("headlight.review.novelty.MOST_OLD", 40)
    old, labels = collection((300, 3, 1))
    new = np.concatenate([rows(7, 30, 10), rows(0, 20, 11)])
    groups = novel_rows(old, labels, new).groups
    assert (groups[:30] == 0).mean() > 0.9
    assert (groups[30:] == -1).all()


def test_a_single_odd_row_is_unlike_any_and_no_group():
    found = novel_rows(OLD, LABELS, np.concatenate([rows(9, 1, 10), rows(0, 50, 11)]))
    assert found.unlike[0]
    assert found.unlike[1:].mean() < 0.1
    assert (found.groups == -1).all()


def test_one_new_row_of_an_old_kind_joins():
    found = novel_rows(OLD, LABELS, rows(0, 1, 10))
    assert found.groups.tolist() == [-1]
    assert found.unlike.tolist() == [False]


def test_groups_of_one_to_three_images_beside_a_large_one():
    old, labels = collection((200, 1, 2, 3))
    new = np.concatenate([rows(0, 60, 10), rows(7, 12, 11)])
    groups = novel_rows(old, labels, new).groups
    assert (groups[:60] == -1).all()
    assert (groups[60:] == 0).sum() >= 10


@pytest.mark.parametrize("n, m", [(0, 5), (5, 0), (0, 0), (1, 1), (2, 6), (3, 40)])
def test_too_little_to_say_anything(n, m):
    found = novel_rows(rows(0, n, 1), np.zeros(n, np.int64), rows(0, m, 2))
    assert found.groups.tolist() == [-1] * m
    assert found.unlike.shape == (m,)


def test_equal_rows_are_nothing_new():
    same = np.ones((30, DIM), np.float16)
    assert (novel_rows(same, np.zeros(30, int), same).groups == -1).all()
    # Equal old rows, too: without any variance nothing is near or far.
    assert (novel_rows(same, np.zeros(30, int), rows(0, 20, 1)).groups == -1).all()


def test_the_same_input_gives_the_same_groups():
    new = np.concatenate([rows(7, 40, 10), rows(8, 30, 11), rows(1, 50, 12)])
    one, other = novel_rows(OLD, LABELS, new), novel_rows(OLD, LABELS, new)
    assert np.array_equal(one.groups, other.groups)
    assert np.array_equal(one.unlike, other.unlike)


def test_numbers_of_groups_and_the_order_of_old_rows_make_no_difference():
    new = np.concatenate([rows(7, 40, 10), rows(1, 50, 12)])
    first = novel_rows(OLD, LABELS, new)
    other = novel_rows(OLD, np.array([70, 5, 31])[LABELS], new)
    assert np.array_equal(first.groups, other.groups)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="labels has 3"):
        novel_rows(OLD, LABELS[:3], OLD)
    with pytest.raises(ValueError, match="new of"):
        novel_rows(OLD, LABELS, OLD[:, :5])
