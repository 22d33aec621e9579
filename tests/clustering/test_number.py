from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from headlight.clustering import SCP, Features
from headlight.clustering.graph import Graph, Spectrum, neighbour_graph
from headlight.clustering.number import count_clusters


def graph_of(points: np.ndarray) -> Graph:
    rows = torch.nn.functional.normalize(torch.from_numpy(points).float(), dim=1)
    return neighbour_graph(Features(rows.half()))


@pytest.mark.parametrize("n_clusters", [2, 7, 40])
def test_separate_groups_are_counted_exactly(make_blobs, n_clusters):
    X, _ = make_blobs([60] * n_clusters)
    count = count_clusters(Spectrum(graph_of(X[:, 0])))
    assert count.low <= count.n_clusters <= count.high
    assert count.n_clusters == n_clusters


def test_the_curve_shows_where_the_groups_end(make_blobs):
    X, _ = make_blobs([60] * 7)
    curve = count_clusters(Spectrum(graph_of(X[:, 0]))).curve
    assert (np.diff(curve) <= 0).all()
    assert curve[0] == pytest.approx(1, abs=1e-4)
    assert np.argmax(-np.diff(curve)) == 6


def test_more_groups_than_the_first_eigenvalues_are_counted(make_blobs):
    X, _ = make_blobs([25] * 60, dim=120)
    assert count_clusters(Spectrum(graph_of(X[:, 0]))).n_clusters == 60


def test_auto_fits_as_many_clusters_as_were_counted(make_blobs):
    X, labels = make_blobs([300, 200, 150, 100, 60], views=2)
    scp = SCP(random_state=0).fit(X)
    count = scp.n_clusters_estimate_
    assert scp.n_clusters_ == count.n_clusters
    assert count.low <= 5 <= count.high
    assert abs(scp.n_clusters_ - 5) <= 1
    assert adjusted_rand_score(labels, scp.labels_) > 0.75
    assert adjusted_rand_score(labels, scp.merge_to(5)[scp.labels_]) > 0.98
    assert scp.predict_proba(X).shape == (810, scp.n_clusters_)
    restored = SCP.from_state(*scp.state())
    assert np.array_equal(restored.predict(X), scp.labels_)
    assert np.array_equal(restored.merge_to(3), scp.merge_to(3))


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_auto_has_at_least_two_clusters_however_little_there_is(n):
    X = np.random.default_rng(0).normal(size=(n, 6))
    scp = SCP(random_state=0).fit(X)
    assert 2 <= scp.n_clusters_ <= n
    assert set(scp.labels_) <= set(range(scp.n_clusters_))
