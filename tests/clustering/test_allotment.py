"""How many clusters each coarse cluster gets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.clustering.allotment import MergePath, allotted, by_size, merge_path
from headlight.clustering.constants import ROBUST


def path_of(parts: int, seed: int) -> MergePath:
    rng = np.random.default_rng(seed)
    entropy = np.concatenate([[0], np.cumsum(rng.random(parts - 1) + 0.01)])
    return MergePath(entropy * rng.uniform(0.1, 1, parts), entropy)


@settings(deadline=None)
@given(st.data())
def test_every_coarse_cluster_gets_some_and_none_more_than_it_can_have(data):
    g = data.draw(st.integers(1, 8))
    most = np.array(data.draw(st.lists(st.integers(1, 30), min_size=g, max_size=g)))
    sizes = most * np.array(data.draw(st.lists(st.integers(1, 50), min_size=g, max_size=g)))
    k = data.draw(st.integers(g, int(most.sum())))
    paths = [
        path_of(data.draw(st.integers(1, int(one))), i) if data.draw(st.booleans()) else None
        for i, one in enumerate(most)
    ]
    parts = allotted(paths, sizes, most, k, power=0.6)
    assert parts.sum() == k
    assert (parts >= 1).all()
    assert (parts <= most).all()


@pytest.mark.parametrize("k", [2, 31])
def test_what_can_not_be_allotted_is_refused(k):
    with pytest.raises(ValueError, match="give 3 to 30"):
        allotted([None] * 3, np.array([10] * 3), np.array([10] * 3), k, power=0.6)


def test_more_parts_go_where_there_are_most_rows_for_one():
    sizes = np.array([60, 30, 10])
    assert by_size(np.ones(3, int), sizes, sizes, 10).tolist() == [6, 3, 1]
    assert by_size(np.ones(3, int), sizes, np.array([2, 30, 10]), 10).tolist() == [2, 6, 2]


def test_a_coarse_cluster_gets_as_many_as_it_has_whatever_its_size():
    """Ten clusters of 40 rows in one coarse cluster, two of 200 in the other."""
    rng = np.random.default_rng(0)
    paths, sizes = [], np.array([400, 400])
    for parts in (10, 2):
        labels = np.arange(400) % parts
        points = np.eye(12)[labels] + 0.1 * rng.normal(size=(400, 12))
        rows = torch.nn.functional.normalize(torch.from_numpy(points), dim=1).half()
        paths.append(merge_path(rows, 6, ROBUST))
    assert allotted(paths, sizes, sizes, 12, power=0.6).tolist() == [10, 2]
    assert allotted([None, None], sizes, sizes, 12, power=0.6).tolist() == [6, 6]


def test_equal_rows_have_one_part():
    assert len(merge_path(torch.ones(50, 8).half(), 5, ROBUST).entropy) == 1
    assert len(merge_path(torch.ones(1, 8).half(), 1, ROBUST).entropy) == 1
