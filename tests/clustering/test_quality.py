from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.clustering.quality import cluster_quality


def on_circle(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_known_values_of_a_small_case():
    """Cluster 0: rows 30° either side of its centre at 0°; cluster 1: one point, three times."""
    points = on_circle(-30, 30, 90, 90, 90)
    labels = np.array([0, 0, 1, 1, 1])
    other = np.array([0, 1, 1, 1, 1])
    found = cluster_quality(labels, points, other[None], 2)
    np.testing.assert_allclose(found.cohesion, [np.cos(np.pi / 6), 1], rtol=1e-5)
    np.testing.assert_allclose(found.separation, [1, 1])
    np.testing.assert_allclose(found.stability, [1 / 2, 3 / 4])
    np.testing.assert_allclose(found.quality, [np.cos(np.pi / 6) ** 0.5, 1], rtol=1e-5)


def test_rows_nearer_to_another_centre_lower_separation():
    points = on_circle(0, 0, 0, 80, 90, 90, 90)
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    found = cluster_quality(labels, points, labels[None], 2)
    np.testing.assert_allclose(found.separation, [3 / 4, 1])


def test_stability_is_the_mean_over_other_clusterings_and_ignores_their_numbering():
    labels = np.array([0, 0, 1, 1])
    others = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    found = cluster_quality(labels, on_circle(0, 0, 90, 90), others, 2)
    np.testing.assert_allclose(found.stability, [3 / 4, 3 / 4])


def test_an_empty_cluster_has_0_and_does_not_disturb_the_others():
    """Rows that lie opposite have cosines below 0 to their centre, not below the empty one."""
    points, labels = on_circle(0, 100, 240), np.array([0, 0, 0])
    found = cluster_quality(labels, points, labels[None], 2)
    assert found.separation.tolist() == [1, 0]
    assert found.stability.tolist() == [1, 0]
    assert found.cohesion[1] == found.quality[1] == 0


def test_a_tight_cluster_ranks_above_two_that_were_mixed(make_blobs):
    X, truth = make_blobs([60, 60, 60, 60])
    points = torch.nn.functional.normalize(torch.from_numpy(X[:, 0]), dim=1).half()
    labels = np.array([0, 1, 2, 2])[truth]
    found = cluster_quality(labels, points, labels[None], 3)
    assert found.quality[2] < 0.9 * found.quality[:2].min()


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_values_lie_between_0_and_1_and_follow_the_numbering(n, n_clusters, m, seed):
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float32))
    points = torch.nn.functional.normalize(points, dim=1).half()
    labels = rng.integers(n_clusters, size=n)
    others = rng.integers(n_clusters, size=(m, n))
    found = cluster_quality(labels, points, others, n_clusters)
    order = rng.permutation(n_clusters)
    renumbered = cluster_quality(order[labels], points, others, n_clusters)
    empty = np.bincount(labels, minlength=n_clusters) == 0
    for field in fields(found):
        values = getattr(found, field.name)
        assert values.dtype == np.float32
        assert values.shape == (n_clusters,)
        assert ((values >= 0) & (values <= 1)).all()
        assert (values[empty] == 0).all()
        np.testing.assert_allclose(getattr(renumbered, field.name)[order], values, atol=1e-5)


def test_other_numbers_of_rows_are_refused():
    with pytest.raises(ValueError, match="points 3"):
        cluster_quality(np.zeros(4, int), torch.zeros(3, 2), np.zeros((1, 4), int), 1)
