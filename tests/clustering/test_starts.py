"""The head starts from a partition of the neighbour graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from headlight.clustering import Features, starts
from headlight.clustering.graph import Spectrum, neighbour_graph
from headlight.clustering.information import edge_shares, graph_information
from headlight.clustering.k_means import centres_of
from headlight.clustering.starts import best_of, partition, partitions, seeds_of


def spectrum_of(X: np.ndarray) -> Spectrum:
    rows = torch.nn.functional.normalize(torch.from_numpy(X).float(), dim=1)
    return Spectrum(neighbour_graph(Features(rows.half())))


def groups(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(len(sizes), 12)[labels] + 0.15 * rng.normal(size=(sum(sizes), 12)), labels


@pytest.mark.parametrize("sizes", [[100] * 5, [400, 60, 40, 30, 20]])
def test_every_start_finds_groups_that_lie_apart_however_uneven(sizes):
    X, truth = groups(sizes)
    spectrum = spectrum_of(X)
    for labels in partitions(spectrum, len(sizes), range(12)):
        assert adjusted_rand_score(truth, labels) > 0.98


def test_the_same_seed_gives_the_same_and_all_clusters_have_rows():
    spectrum = spectrum_of(groups([40] * 4)[0])
    found = partition(spectrum, 7, seed=3)
    assert set(found) == set(range(7))
    assert np.array_equal(found, partition(spectrum, 7, seed=3))


def test_of_single_partitions_and_their_combination_the_one_that_explains_most_is_taken():
    X = np.random.default_rng(0).normal(size=(400, 5))  # no groups: seeds end in different optima
    spectrum = spectrum_of(X)
    near = spectrum.graph.near(6)

    def explained(labels: np.ndarray) -> float:
        return graph_information(edge_shares(labels, near, 6))

    singles = partitions(spectrum, 6, seeds_of(6, 0))
    assert len({labels.tobytes() for labels in singles}) > 1
    best = explained(best_of(spectrum, 6, singles))
    assert best >= max(map(explained, singles))
    assert best == explained(partition(spectrum, 6, 0))


@pytest.mark.parametrize(("n", "k"), [(2, 1), (2, 2), (9, 9), (30, 29), (40, 1)])
def test_hardly_more_rows_than_clusters_are_enough(n, k):
    found = partition(spectrum_of(np.random.default_rng(0).normal(size=(n, 5))), k, 0)
    assert len(set(found)) == k


def test_eigenvalues_are_found_once_and_do_not_depend_on_how_many_are_asked_for():
    spectrum = spectrum_of(groups([60] * 6)[0])
    few, some = spectrum.leading(3), spectrum.leading(40)
    assert np.allclose(few[0], some[0][:3], atol=1e-3)
    assert spectrum.leading(5)[1].base is some[1].base
    assert some[0][5] > 0.9 > some[0][6]  # six groups


def test_a_cluster_without_rows_has_a_centre_of_zero():
    centres = centres_of(torch.eye(3), np.array([0, 0, 2]), 4)
    assert (centres.norm(dim=1) > 0.99).tolist() == [True, False, True, False]


def test_a_dozen_rows_a_group_are_enough_though_more_are_neighbours():
    X, truth = groups([12, 12, 12])
    spectrum = spectrum_of(X)
    for labels in partitions(spectrum, 3, range(8)):
        assert adjusted_rand_score(truth, labels) == 1


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(2, 40))
def test_rows_are_kept_together_that_the_first_partitions_all_keep_together(seed, count, most):
    rng = np.random.default_rng(seed)
    found = [rng.integers(3, size=60) for _ in range(count)]
    groups = starts._kept_together(found, most)
    used = 1
    while used < count and len(np.unique(found[: used + 1], axis=1).T) <= most:
        used += 1
    for i, j in rng.integers(60, size=(20, 2)):
        assert (groups[i] == groups[j]) == all(one[i] == one[j] for one in found[:used])
