from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from headlight.clustering.information import POWER, edge_shares, graph_information


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
    assert right == pytest.approx(np.log(3) ** (1 - POWER))
    assert right > merged > mixed
    assert graph_information(edge_shares(np.zeros(60, int), near, 3)) == 0
