"""The map as numbers: neighbours stay neighbours, whatever the run."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.runs import map as maps
from headlight.runs.map import fair_sample, image_map
from headlight.runs.run import Run


def groups(
    n: int, k: int, spread: float = 0.35, seed: int = 0, dim: int = 48
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length 1 around k random directions, and which one each is of."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, dim))
    labels = np.arange(n) % k
    return unit(centres[labels] + spread * rng.normal(size=(n, dim))), labels


def unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return (rows / lengths).astype(np.float32)


def alike(xy: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose nearest other row on the map has their label."""
    distance = ((xy[:, None] - xy[None]) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    return float((labels[distance.argmin(1)] == labels).mean())


def test_images_lie_among_their_own_kind() -> None:
    pytest.importorskip("umap", reason="the map (pip install 'headlight-images[explore]')")
    features, labels = groups(600, 30)
    xy = image_map(features, labels)
    assert xy.shape == (600, 2)
    assert xy.dtype == np.float32
    assert alike(xy, labels) > 0.99
    # A plane can't do that for 30 groups in 48 dimensions.
    assert alike(xy, labels) > alike(maps.centre_plane(features, labels), labels) + 0.1


def test_same_features_same_bits() -> None:
    features, labels = groups(200, 4)
    assert (image_map(features, labels) == image_map(features.copy(), labels)).all()


def test_rows_beyond_the_sample_lie_among_their_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("umap", reason="the map (pip install 'headlight-images[explore]')")
    monkeypatch.setattr(maps, "SAMPLE", 150)
    features, labels = groups(600, 6)
    rare = np.r_[labels[:590], np.full(10, 6)]  # a cluster of 10 of 600 is in the sample, too
    features[590:] = groups(10, 1, seed=9)[0]
    xy = image_map(features, rare)
    assert alike(xy, rare) > 0.99
    assert (image_map(features, rare) == xy).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=300), st.integers(1, 80))
def test_a_sample_is_fair_to_every_cluster(labels: list[int], count: int) -> None:
    values = np.array(labels)
    rows = fair_sample(values, count)
    assert len(rows) == len(set(rows.tolist())) == min(len(labels), count)
    assert (np.diff(rows) > 0).all()
    if count >= 2 * len(set(labels)):
        assert set(values[rows].tolist()) == set(labels)
    assert (fair_sample(values, count) == rows).all()


def test_without_umap_the_map_is_a_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    features, labels = groups(300, 3)
    xy = image_map(features, labels)
    assert alike(xy, labels) > 0.99
    assert np.abs(xy).max() == pytest.approx(1)
    assert xy[:, 0].std() >= xy[:, 1].std()  # wide, not high


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 24) | st.integers(98, 124),
    st.integers(1, 5),
    st.integers(2, 9),
    st.integers(0, 99),
)
def test_any_small_run_has_a_finite_map(n: int, k: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = unit(rng.integers(-2, 3, (n, dim)))  # with many equal rows
    xy = image_map(features, rng.integers(0, k, n))
    assert xy.shape == (n, 2)
    assert np.isfinite(xy).all()
    assert np.abs(xy).max() <= 1 + 1e-6


def test_equal_images_have_a_map() -> None:
    xy = image_map(unit(np.ones((130, 8))), np.zeros(130, int))
    assert np.isfinite(xy).all()


def test_the_graph_is_that_of_umap() -> None:
    umap = pytest.importorskip(
        "umap.umap_", reason="the map (pip install 'headlight-images[explore]')"
    )
    points = groups(60, 3)[0]
    apart = np.linalg.norm(points[:, None] - points[None], axis=2).astype(np.float32)
    near = np.argsort(apart, axis=1, kind="stable")[:, :15]
    distances = np.take_along_axis(apart, near, axis=1)
    # Theirs as plain Python: to compile it takes longer than to run it.
    sigma, rho = umap.smooth_knn_dist.py_func(distances, 15.0)
    rows, columns, weights, _ = umap.compute_membership_strengths.py_func(
        near, distances, sigma, rho
    )
    one_way = np.zeros((60, 60))
    one_way[rows, columns] = weights
    theirs = one_way + one_way.T - one_way * one_way.T
    assert np.abs(maps.fuzzy_graph(distances, near).toarray() - theirs).max() < 1e-3


def test_a_fit_writes_the_map(fitted: Run) -> None:
    table = fitted.assignments
    xy = np.stack([table["map_x"].to_numpy(), table["map_y"].to_numpy()], 1)
    assert xy.dtype == np.float32
    assert alike(xy, table["cluster"].to_numpy()) > 0.9
    assert fitted.info.timings["map"].seconds >= 0
