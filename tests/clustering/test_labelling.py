"""K clusters asked are K clusters given wherever the data have K different rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.clustering import SCP
from headlight.clustering.heads import LinearHead
from headlight.clustering.labelling import fill_empty


@settings(max_examples=20, deadline=None)
@given(n=st.integers(3, 60), share=st.floats(0, 1), seed=st.integers(0, 100))
def test_every_cluster_has_rows_and_prediction_repeats_the_labels(
    n: int, share: float, seed: int
) -> None:
    k = 2 + int(share * (n - 2))
    X = np.random.default_rng(seed).normal(size=(n, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scp = SCP(k, random_state=0).fit(X)
    assert set(scp.labels_) == set(range(k))
    np.testing.assert_array_equal(scp.predict(X), scp.labels_)


def test_each_of_a_few_distinct_rows_is_a_cluster() -> None:
    X = np.random.default_rng(0).normal(size=(7, 32))[np.arange(700) % 7]
    labels = SCP(7, random_state=0).fit_predict(X)
    assert [len(set(labels[i::7])) for i in range(7)] == [1] * 7
    assert len(set(labels)) == 7


def test_as_many_clusters_as_rows() -> None:
    X = np.random.default_rng(0).normal(size=(150, 16))
    assert len(set(SCP(150, random_state=0).fit_predict(X))) == 150


def test_a_split_moves_rows_of_the_loosest_cluster_only() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:3]
    truth = np.repeat(np.arange(3), 100)
    rows = centres[truth] + np.array([0.05, 0.05, 0.4])[truth, None] * rng.normal(size=(300, 8))
    points = torch.nn.functional.normalize(torch.from_numpy(rows).float(), dim=1)
    head = LinearHead(8, 4)
    with torch.no_grad():
        head.weight[:3] = 20 * torch.eye(8)[:3]
        head.bias[3] = -1e3
    before = head(points).argmax(dim=1)
    fill_empty(head, points, np.array([3]), sharpness=20)
    after = head(points).argmax(dim=1)
    moved = before != after
    assert moved.any()
    assert set(after[moved].tolist()) == {3}
    assert set(before[moved].tolist()) == {2}
    assert torch.bincount(after, minlength=4).min() > 20


def test_rows_on_one_line_have_two_directions_and_a_warning_says_what_is_empty() -> None:
    X = np.random.default_rng(0).normal(size=(200, 1)) * np.ones((1, 5))
    with pytest.warns(UserWarning, match="empty"):
        SCP(6, random_state=0).fit(X)
