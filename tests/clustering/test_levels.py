from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from headlight.clustering import SCP, Features
from headlight.clustering.constants import ROBUST
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.levels import ClusterEstimate, _adjusted_information, estimate_clusters


def spectrum_of(points: np.ndarray) -> Spectrum:
    rows = torch.nn.functional.normalize(torch.from_numpy(points).float(), dim=1)
    return Spectrum(neighbour_graph(Features(rows.half())))


def blobs(centres: np.ndarray, sizes: list[int], spread: float, seed: int = 0) -> np.ndarray:
    label = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).normal(size=(len(label), centres.shape[1]))
    return np.asarray(centres[label] + spread * noise)


def check(estimate: ClusterEstimate, n: int) -> None:
    assert 2 <= estimate.low <= estimate.n_clusters <= estimate.high <= max(2, n)
    scores = [level.score for level in estimate.levels]
    assert scores == sorted(scores, reverse=True)
    assert estimate.levels[0].n_clusters == estimate.n_clusters
    assert 1 <= len(estimate.levels) <= 5
    assert set(estimate.levels) <= set(estimate.curve)
    numbers = [level.n_clusters for level in estimate.curve]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("n_clusters", [2, 3, 7, 40, 60])
def test_separate_groups_are_counted_exactly(make_blobs, n_clusters):
    X, _ = make_blobs([60] * n_clusters, dim=120)
    estimate = estimate_clusters([spectrum_of(X[:, 0])])
    check(estimate, len(X))
    assert estimate.n_clusters == n_clusters


def test_both_levels_of_a_hierarchy_are_found():
    rng = np.random.default_rng(0)
    above = np.repeat(rng.normal(size=(4, 32)), 5, axis=0)
    centres = above + 0.4 * rng.normal(size=(20, 32))
    # Kinds of one family touch, as in real data: else the graph knows of no families.
    spaces = [spectrum_of(blobs(centres, [60] * 20, 0.5, seed)) for seed in (0, 1)]
    for spectra in (spaces, spaces[:1]):
        estimate = estimate_clusters(spectra)
        check(estimate, 1200)
        numbers = [level.n_clusters for level in estimate.levels]
        assert 4 in numbers
        assert any(17 <= k <= 23 for k in numbers)


def test_uneven_groups_are_counted():
    centres = np.random.default_rng(1).normal(size=(8, 32))
    X = blobs(centres, [640, 320, 160, 80, 60, 40, 30, 25], 0.4)
    estimate = estimate_clusters([spectrum_of(X)])
    assert estimate.low <= 8 <= estimate.high
    assert abs(estimate.n_clusters - 8) <= 2


def test_what_only_one_space_shows_counts_less():
    rng = np.random.default_rng(2)
    coarse, fine = rng.normal(size=(4, 32)), rng.normal(size=(12, 32))
    of_coarse = np.repeat(coarse, 3, axis=0)
    both = blobs(of_coarse + 0.7 * fine, [80] * 12, 0.2)
    blurred = blobs(of_coarse, [80] * 12, 0.2, seed=1)
    assert estimate_clusters([spectrum_of(both)]).n_clusters == 12
    assert estimate_clusters([spectrum_of(both), spectrum_of(blurred)]).n_clusters < 10


def test_of_equals_the_smaller_number_is_taken():
    X = np.random.default_rng(3).normal(size=(600, 16))
    plain, strict = (
        estimate_clusters([spectrum_of(X)], replace(ROBUST, level_parsimony=power))
        for power in (0.0, 0.3)
    )
    assert strict.n_clusters < plain.n_clusters


def test_agreement_is_adjusted_mutual_information():
    rng = np.random.default_rng(4)
    for k, n in ((4, 4000), (40, 900)):
        one = rng.choice(k, n, p=rng.dirichlet(np.full(k, 2.0)))
        other = np.where(rng.random(n) < 0.5, one, rng.integers(k, size=n))
        table = np.bincount(one * k + other, minlength=k * k).reshape(k, k) / n
        exact = adjusted_mutual_info_score(one, other)
        assert _adjusted_information(table, n) == pytest.approx(exact, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 90),
    distinct=st.integers(1, 90),
    spaces=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_the_estimate_is_within_its_range_whatever_the_rows(n, distinct, spaces, seed):
    rng = np.random.default_rng(seed)
    picked = rng.integers(distinct, size=n)
    spectra = [spectrum_of(rng.normal(size=(distinct, 6))[picked]) for _ in range(spaces)]
    check(estimate_clusters(spectra), n)


def test_auto_fits_as_many_clusters_as_were_estimated(make_blobs):
    X, labels = make_blobs([300, 200, 150, 100, 60], views=2)
    scp = SCP(random_state=0).fit(X)
    estimate = scp.n_clusters_estimate_
    assert scp.n_clusters_ == estimate.n_clusters
    assert scp.levels_ == estimate.levels
    assert estimate.low <= 5 <= estimate.high
    assert abs(scp.n_clusters_ - 5) <= 1
    assert adjusted_rand_score(labels, scp.labels_) > 0.75
    assert adjusted_rand_score(labels, scp.merge_to(5)[scp.labels_]) > 0.98
    assert scp.predict_proba(X).shape == (810, scp.n_clusters_)
    restored = SCP.from_state(*scp.state())
    assert np.array_equal(restored.predict(X), scp.labels_)
    assert np.array_equal(restored.merge_to(3), scp.merge_to(3))


def test_levels_are_only_of_an_estimate(make_blobs):
    X, _ = make_blobs([60] * 3)
    assert not hasattr(SCP(n_clusters=3, random_state=0).fit(X), "levels_")


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_auto_has_at_least_two_clusters_however_little_there_is(n):
    X = np.random.default_rng(0).normal(size=(n, 6))
    scp = SCP(random_state=0).fit(X)
    assert 2 <= scp.n_clusters_ <= n
    assert set(scp.labels_) <= set(range(scp.n_clusters_))
