from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from headlight.clustering.constants import ROBUST
from headlight.clustering.information import (
    edge_shares,
    graph_information,
    merge_groups,
    move,
)


@given(st.integers(0, 1000), st.integers(2, 6))
def test_it_is_the_mutual_information_of_an_edges_ends(seed, k):
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=40)
    near = torch.from_numpy(rng.integers(40, size=(40, 3)))
    one, other = np.repeat(labels, 3), labels[near.numpy()].ravel()
    both_ways = np.concatenate([one, other]), np.concatenate([other, one])
    shares = edge_shares(labels, near, k)
    assert shares.sum() == pytest.approx(1)
    found = graph_information(shares, power=0.0)
    assert found == pytest.approx(mutual_info_score(*both_ways), abs=1e-9)


def test_labels_that_keep_neighbours_together_score_higher():
    truth = np.repeat([0, 1, 2], 20)
    near = torch.from_numpy((np.arange(60) // 20 * 20)[:, None] + np.arange(4))
    right = graph_information(edge_shares(truth, near, 3))
    merged = graph_information(edge_shares(np.minimum(truth, 1), near, 3))
    mixed = graph_information(edge_shares(np.arange(60) % 3, near, 3))
    assert right == pytest.approx(np.log(3) ** (1 - ROBUST.information_power))
    assert right > merged > mixed
    assert graph_information(edge_shares(np.zeros(60, int), near, 3)) == 0


def symmetric(seed: int, m: int, density: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shares = rng.random((m, m)) * (rng.random((m, m)) < density) + np.eye(m)
    shares = shares + shares.T
    return shares / shares.sum()


def value(shares: np.ndarray, cluster: np.ndarray, k: int) -> float:
    of = np.eye(k)[cluster]
    return graph_information(of.T @ shares @ of)


def test_groups_with_edges_among_themselves_only_become_one_cluster():
    truth = np.array([0, 1, 2, 0, 1, 2, 2, 2, 2])  # uneven on purpose
    shares = np.where(truth[:, None] == truth, 1.0, 0.01)
    found = merge_groups(shares / shares.sum(), 3)
    assert (np.equal.outer(found, found) == np.equal.outer(truth, truth)).all()


@given(st.integers(0, 10**6), st.integers(2, 12), st.data(), st.sampled_from([0.3, 1.0]))
def test_every_cluster_has_a_group(seed, m, data, density):
    k = data.draw(st.integers(1, m))
    assert sorted(set(merge_groups(symmetric(seed, m, density), k))) == list(range(k))


def test_hardly_ever_does_another_single_move_explain_more():
    """A node goes where the gradient says, once in hundreds of times not to the best cluster."""
    better = 0
    for seed in range(400):
        m = 2 + seed % 5
        k, shares = 1 + seed % m, symmetric(seed, m, (0.3, 1.0)[seed % 2])
        found = merge_groups(shares, k)
        best = value(shares, found, k)
        shared = np.bincount(found) > 1  # alone, a group must stay, or its cluster is empty
        moves = [(i, other) for i in range(m) if shared[found[i]] for other in range(k)]
        moved = [np.where(np.arange(m) == i, other, found) for i, other in moves]
        better += any(value(shares, one, k) > best + 1e-9 for one in moved)
    assert better <= 4


def test_of_all_partitions_in_two_the_best_is_found_nearly_always():
    """For 90 of these 100; without the moves 80, with gains not kept up to date 81."""
    found = 0
    for seed in range(100):
        m = 4 + seed % 7
        shares = symmetric(seed, m)
        codes = np.arange(1, 2 ** (m - 1))
        best = max(value(shares, (code >> np.arange(m)) & 1, 2) for code in codes)
        found += value(shares, merge_groups(shares, 2), 2) > best - 1e-9
    assert found >= 87


def test_a_group_without_edges_does_no_harm():
    shares = symmetric(0, 6)
    shares[2], shares[:, 2] = 0, 0
    found = merge_groups(shares / shares.sum(), 3)
    assert sorted(set(found)) == [0, 1, 2]


def test_as_many_clusters_as_groups_leaves_every_group_alone():
    assert sorted(merge_groups(symmetric(1, 5), 5)) == list(range(5))


@pytest.mark.parametrize("k", [0, 6])
def test_more_clusters_than_groups_are_refused(k):
    with pytest.raises(ValueError, match="5 groups"):
        merge_groups(symmetric(1, 5), k)


@given(st.integers(0, 10**6), st.integers(2, 40), st.data())
def test_moves_never_explain_less_and_neither_empty_nor_fill_a_cluster(seed, m, data):
    k = data.draw(st.integers(1, m))
    shares = symmetric(seed, m, 0.3)
    labels = np.random.default_rng(seed).integers(k, size=m)
    moved = move(sp.csr_matrix(shares), labels, k)
    assert set(moved) == set(labels)
    assert value(shares, moved, k) >= value(shares, labels, k) - 1e-9


def test_rows_in_the_wrong_cluster_move_to_their_neighbours():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [200, 60, 30])
    near = np.stack([rng.choice(np.flatnonzero(truth == one), 8) for one in truth])
    edges = sp.csr_matrix(
        (np.full(290 * 8, 1 / (2 * 290 * 8)), near.ravel(), np.arange(0, 290 * 8 + 1, 8)),
        shape=(290, 290),
    )
    wrong = truth.copy()
    wrong[rng.choice(290, 60, replace=False)] = 0
    assert (move(edges + edges.T, wrong, 3) == truth).all()
