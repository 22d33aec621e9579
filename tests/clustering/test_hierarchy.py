from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, is_monotonic, is_valid_linkage

from headlight.clustering import SCP
from headlight.clustering.hierarchy import cut, merge_hierarchy


def shares_of(seed: int, k: int) -> np.ndarray:
    joint = np.random.default_rng(seed).random((k, k)) ** 4 + np.eye(k)
    return (joint + joint.T) / (joint + joint.T).sum()


@given(st.integers(0, 1000), st.integers(2, 12))
def test_it_is_a_linkage_that_scipy_can_draw_and_cut(seed, k):
    merges = merge_hierarchy(shares_of(seed, k), np.eye(k))
    assert is_valid_linkage(merges)
    assert is_monotonic(merges)
    assert merges[-1, 3] == k
    for n_clusters in range(1, k + 1):
        coarse = cut(merges, n_clusters)
        assert sorted(set(coarse)) == list(range(n_clusters))
        if len(set(merges[:, 2])) == k - 1:
            theirs = fcluster(merges, n_clusters, "maxclust")
            assert len(set(zip(coarse, theirs, strict=True))) == n_clusters


def test_clusters_joined_by_most_edges_merge_first():
    joint = np.full((4, 4), 0.01)
    np.fill_diagonal(joint, 1.0)
    joint[0, 3] = joint[3, 0] = 0.5
    joint[1, 2] = joint[2, 1] = 0.3
    merges = merge_hierarchy(joint / joint.sum(), np.eye(4))
    assert merges[:2, :2].tolist() == [[0, 3], [1, 2]]
    assert cut(merges, 2).tolist() == [0, 1, 1, 0]


def test_groups_of_clusters_come_back_from_a_fit():
    """Three far groups of two near clusters each: six clusters merge into the three."""
    rng = np.random.default_rng(0)
    far = 3 * rng.normal(size=(3, 1, 30))
    centres = (far + 0.55 * rng.normal(size=(3, 2, 30))).reshape(6, 30)
    labels = rng.integers(6, size=1500)
    X = centres[labels] + 0.3 * rng.normal(size=(1500, 30))
    scp = SCP(6, random_state=0).fit(X)
    coarse = scp.merge_to(3)[scp.labels_]
    assert len(set(zip(coarse, labels // 2, strict=True))) == 3
    with pytest.raises(ValueError, match="1 to 6 clusters"):
        scp.merge_to(7)
