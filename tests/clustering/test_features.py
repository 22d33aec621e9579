"""Features: augmented views of some rows only, and rows that several encoders made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from headlight.clustering import SCP, Features
from headlight.clustering.features import as_features
from headlight.clustering.projection import fit_projection
from headlight.clustering.training import Pairs


def split(X: np.ndarray, rows: np.ndarray) -> Features:
    return Features(X[:, 0].copy(), X[rows, 1:].copy(), rows)


def test_views_of_all_rows_given_apart_change_no_bit(make_blobs):
    X, _ = make_blobs([150] * 4, views=3)
    together = SCP(4, random_state=0).fit(X)
    apart = SCP(4, random_state=0).fit(split(X, np.arange(len(X))))
    assert np.array_equal(together.projection_.components, apart.projection_.components)
    assert np.array_equal(together.labels_, apart.labels_)


@pytest.mark.parametrize("recipe", ["robust", "paper"])
def test_views_of_a_third_of_the_rows_are_enough(make_jittered, recipe):
    X, labels = make_jittered([300] * 4, views=2)
    features = split(X, np.arange(0, len(X), 3))
    scp = SCP(4, recipe=recipe, batch_size=200, random_state=0).fit(features)
    assert adjusted_rand_score(labels, scp.labels_) > 0.95


def test_a_row_comes_in_the_view_asked_for_or_in_its_plain_one():
    X = np.arange(5 * 3 * 2, dtype=np.float32).reshape(5, 3, 2)
    features = Features(X[:, 0], X[[1, 4], 1:], [1, 4])
    assert features.n_views == 3
    assert features.has_views(np.arange(5)).tolist() == [False, True, False, False, True]
    rows, views = np.array([0, 1, 4, 3, 4]), np.array([2, 2, 1, 0, 0])
    wanted = X[[0, 1, 4, 3, 4], [0, 2, 1, 0, 0]]
    assert np.array_equal(features.rows(rows, views).numpy(), wanted)
    assert np.array_equal(features.rows(slice(3, 5), 2).numpy(), np.stack([X[3, 0], X[4, 2]]))


def test_views_can_be_limited_to_some_rows():
    """The others come in their plain view."""
    X = np.random.default_rng(0).normal(size=(60, 3, 2)).astype(np.float32)
    features = as_features(X).limit_views(20)
    assert features.has_views(np.arange(60)).sum() == 20
    index, view = np.arange(60), np.random.default_rng(1).integers(0, 3, 60)
    wanted = X[index, np.where(features.has_views(index), view, 0)]
    assert np.array_equal(features.rows(index, view).numpy(), wanted)
    assert np.array_equal(features.rows(slice(5, 50), 1), features.rows(np.arange(5, 50), 1))


def test_of_large_data_rows_with_views_are_learned_from_first():
    X = np.random.default_rng(0).normal(size=(1000, 2, 3))
    viewed = np.arange(0, 1000, 20)
    features = split(X, viewed)
    drawn = features.sample(100)
    assert len(np.unique(drawn)) == 100
    assert np.isin(viewed, drawn).all()
    assert len(features.sample(30)) == 30
    assert np.isin(features.sample(30), viewed).all()


def test_a_row_without_views_is_never_paired_with_itself():
    viewed = torch.arange(50) < 10
    neighbours = (torch.arange(50)[:, None] + torch.arange(1, 4)) % 50
    pairs = Pairs(50, 3, neighbours, viewed)
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.stack(b) for _ in range(60) for b in pairs.epoch(10, generator)]
    anchor, view, partner, other = torch.cat(drawn, dim=1)
    itself = anchor == partner
    assert itself.any()
    assert viewed[anchor[itself]].all()
    assert (view[itself] != other[itself]).all()
    # Without neighbours only rows with views are anchors.
    (only,) = Pairs(50, 3, None, viewed).epoch(10, generator)
    assert sorted(only[0].tolist()) == list(range(10))


@pytest.mark.parametrize(
    ("viewed", "views", "sentence"),
    [
        ([0, 1], np.zeros((3, 1, 2)), r"views must be \(m, V, dim\) = \(2, V, 2"),
        ([0, 1], np.zeros((2, 1, 3)), r"got \(2, 1, 3\)"),
        ([1, 0], np.zeros((2, 1, 2)), "sorted, each once"),
        ([0.5, 1], np.zeros((2, 1, 2)), "row numbers"),
        ([0, 9], np.zeros((2, 1, 2)), "0 to 8"),
        (None, np.zeros((2, 1, 2)), r"= \(9, V, 2"),
    ],
)
def test_views_that_do_not_go_with_the_rows_are_refused(viewed, views, sentence):
    with pytest.raises(ValueError, match=sentence):
        Features(np.zeros((9, 2)), views, viewed)


def test_an_array_of_all_views_is_sliced_and_not_copied():
    X = np.zeros((9, 3, 2), np.float16)
    features = as_features(X)
    assert np.shares_memory(features.plain, X)
    assert np.shares_memory(features.views, X)
    assert as_features(X[:, :1]).views is None


def test_rows_that_are_taken_keep_their_views():
    X = np.random.default_rng(0).normal(size=(9, 3, 2)).astype(np.float32)
    taken = split(X, np.array([1, 4, 8])).take(np.array([0, 4, 8]))
    assert taken.viewed.tolist() == [1, 2]
    assert np.array_equal(taken.plain, X[[0, 4, 8], 0])
    assert np.array_equal(taken.views, X[[4, 8], 1:])


def test_infinite_values_in_a_view_are_named(make_blobs):
    X, _ = make_blobs([50] * 2, views=2)
    features = split(X, np.arange(0, 100, 2))
    features.views[7, 0, 3] = np.inf
    with pytest.raises(ValueError, match="infinity.*row 14"):
        SCP(2, random_state=0).fit(features)


def test_the_scale_of_one_encoder_does_not_silence_another(make_blobs):
    """Each of two encoders tells apart what the other does not; one is a thousand times larger."""
    first, coarse = make_blobs([200] * 2, views=2)
    rng = np.random.default_rng(1)
    fine = rng.integers(0, 2, len(first))
    centre = rng.normal(size=(2, 24)) * 3
    second = centre[fine][:, None] + rng.normal(size=(len(first), 2, 24))
    X = np.concatenate([1000 * first, second], axis=2)
    blocks = (first.shape[2], 24)
    fused = SCP(4, blocks=blocks, random_state=0).fit(X)
    assert adjusted_rand_score(2 * coarse + fine, fused.labels_) > 0.95
    one, seven = (fit_projection(as_features(x), 16, blocks) for x in (X, X * 7))
    assert np.allclose(one.components, seven.components * 7, rtol=1e-2, atol=1e-4)


def test_blocks_must_add_up(make_blobs):
    X, _ = make_blobs([50] * 2)
    with pytest.raises(ValueError, match=r"blocks=\(3, 4\) add up to 7, X has"):
        SCP(2, blocks=(3, 4)).fit(X)
