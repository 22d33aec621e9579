"""A tree of heads: more clusters than one head tells apart."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import is_monotonic, is_valid_linkage

from headlight.clustering import SCP, Features
from headlight.clustering.heads import LinearHead
from headlight.clustering.hierarchy import grafted, merge_hierarchy
from headlight.clustering.projection import Projection
from headlight.clustering.tree import _branching
from headlight.clustering.tree_head import Branch, RegionHead, TreeHead, head_like
from headlight.evaluation import score


class Small(SCP):
    """A tree from 9 clusters on, of three levels from 65."""

    constants = replace(SCP.constants, most_flat=8)


def planted(k: int, rows: int, dim: int = 40, views: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(k), rows)
    rng.shuffle(labels)
    noise = 0.3 * rng.normal(size=(len(labels), views, dim))
    return (rng.normal(size=(k, 1, dim))[labels].squeeze(1)[:, None] + noise).astype(
        np.float32
    ), labels


@pytest.fixture(scope="module")
def fitted() -> tuple[SCP, np.ndarray, np.ndarray]:
    X, labels = planted(30, 20)
    return Small(30, random_state=0).fit(X), X[:, 0], labels


@pytest.mark.parametrize(("k", "cls"), [(300, SCP), (80, Small)])
def test_hundreds_of_planted_centres_are_found(k, cls):
    X, labels = planted(k, 12)
    scp = cls(k, random_state=0).fit(X)
    trees = sum("coarse.region" in name for name in scp.head_.state_dict())
    assert trees == 1 if cls is SCP else trees > 2  # one tree, or trees in a tree
    assert score(labels, scp.labels_)["acc"] > 0.95
    assert len(np.unique(scp.labels_)) == k
    assert np.array_equal(scp.predict(X[:500]), scp.labels_[:500])
    assert (np.diff(np.bincount(scp.labels_)) <= 0).all()


def test_probabilities_are_those_of_the_labels(fitted):
    scp, X, _ = fitted
    found = scp.predict_proba(X)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(found.argmax(axis=1), scp.labels_)
    clusters, both = scp.best_two(X)
    assert np.array_equal(clusters[:, 0], scp.labels_)
    top = -np.sort(-found, axis=1)[:, :2]
    np.testing.assert_allclose(both[:, 0], top[:, 0], rtol=2e-3)
    np.testing.assert_allclose(both, top, atol=2e-3)


def test_calibration_moves_no_row(fitted):
    scp, X, _ = fitted
    assert scp.temperature_ >= 1
    head = SCP.from_state(*scp.state()).head_
    rows = scp.projection_(torch.from_numpy(X))
    head.scale_logits(7.0)
    assert np.array_equal(head.walk(rows).clusters[:, 0].numpy(), scp.labels_)
    assert np.array_equal(head(rows).argmax(dim=1).numpy(), scp.labels_)


def test_a_fit_is_the_same_again_and_kept_as_plain_arrays(fitted):
    scp, X, _ = fitted
    assert np.array_equal(Small(30, random_state=0).fit(X).labels_, scp.labels_)
    tensors, metadata = scp.state()
    restored = SCP.from_state(tensors, json.loads(json.dumps(metadata)))
    assert np.array_equal(restored.predict_proba(X), scp.predict_proba(X))
    assert np.array_equal(restored.predict(X), scp.labels_)


def test_quality_and_hierarchy_are_of_all_clusters(fitted):
    scp, _, labels = fitted
    assert scp.cluster_quality_.quality.shape == (30,)
    assert (scp.cluster_quality_.stability > 0.5).mean() > 0.9
    assert is_valid_linkage(scp.linkage_)
    assert is_monotonic(scp.linkage_)
    for k in (1, 8, 29, 30):
        assert set(scp.merge_to(k)) == set(range(k))
    assert scp.outlier_scores_.shape == labels.shape


@pytest.mark.parametrize(("n", "k"), [(90, 30), (30, 20), (20, 20)], ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_hardly_more_rows_than_clusters_are_enough(n, k):
    X = planted(30, 20)[0][:n, 0]
    scp = Small(k, random_state=0).fit(X)
    assert len(np.unique(scp.labels_)) >= 0.9 * k  # and a warning, where some are empty
    assert np.array_equal(scp.predict(X), scp.labels_)


def test_equal_rows_are_in_one_cluster_and_few_distinct_rows_are_all_found():
    rows = np.random.default_rng(0).normal(size=(20, 20))
    X = np.repeat(rows, 25, axis=0)
    scp = Small(20, random_state=0).fit(X)
    assert (scp.labels_.reshape(20, 25) == scp.labels_[::25, None]).all()
    assert len(np.unique(scp.labels_)) == 20


@pytest.mark.parametrize("sizes", [(200, 200), (380, 20)])
def test_lumps_that_lie_far_apart_share_no_cluster(sizes):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(n, 20)) + 100 * i for i, n in enumerate(sizes)])
    labels = Small(20, random_state=0).fit(X).labels_
    first, second = np.split(labels, [sizes[0]])
    assert not set(first) & set(second)
    assert len(np.unique(labels)) == 20


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_that_only_have_two_directions_are_told_to_be_too_few():
    """Projected to length 1, numbers are −1 or 1."""
    scp = Small(30, random_state=0).fit(np.random.default_rng(0).normal(size=(200, 1)))
    assert scp.n_clusters_ == 30
    assert len(np.unique(scp.labels_)) == 2


def test_views_and_several_encoders_may_come_along():
    X, labels = planted(20, 30, views=2)
    viewed = Features(X[:, 0], X[:200, 1:], np.arange(200))
    assert score(labels, Small(20, random_state=0).fit(viewed).labels_)["acc"] > 0.95
    blocks = Small(20, blocks=(20, 20), random_state=0).fit(X[:, 0])
    assert blocks.blocks_used_.shape == (2,)
    assert score(labels, blocks.labels_)["acc"] > 0.95


def test_progress_ends_with_all_of_the_steps():
    steps: list[tuple[int, int]] = []
    Small(12, random_state=0).fit(planted(12, 15)[0], progress=lambda *done: steps.append(done))
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def random_tree(seed: int, depth: int = 2, dim: int = 6) -> TreeHead:
    rng = torch.Generator().manual_seed(seed)

    def linear(width: int) -> LinearHead:
        k = int(torch.randint(1, 5, (), generator=rng))
        return LinearHead.from_centres(4 * torch.randn(k, width, generator=rng), 1.0)

    groups = LinearHead.from_centres(3 * torch.randn(7, dim, generator=rng), 1.0)
    regions = torch.tensor([2, 0, 1, 0, 3, 2, 1]) % int(torch.randint(2, 5, (), generator=rng))
    coarse = RegionHead(groups, regions)
    branches: list[Branch | None] = []
    for i in range(coarse.n_clusters):
        axes = Projection(torch.randn(dim, generator=rng), torch.randn(dim, 4, generator=rng))
        inner = random_tree(seed + 7 * i + 1, 1, 4) if depth > 1 and i == 0 else linear(4)
        branches.append(None if i == 1 else Branch(axes, inner))
    return TreeHead(coarse, branches).eval()


@settings(deadline=None)
@given(st.integers(0, 500), st.floats(1, 20), st.integers(1, 300))
def test_a_walk_finds_what_all_branches_give(seed, temperature, n):
    head = random_tree(seed)
    order = torch.randperm(head.n_clusters, generator=torch.Generator().manual_seed(seed))
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed + 1))
    before = head(x)
    head.reorder(order)
    torch.testing.assert_close(head(x), before[:, order])
    head.scale_logits(temperature)
    chances = head(x).softmax(dim=1)
    found = head.walk(x, temperature)
    shares = (found.log_p / temperature).exp() / found.total[:, None]
    best = chances.max(dim=1).values
    torch.testing.assert_close(chances.gather(1, found.clusters[:, :1])[:, 0], best)
    torch.testing.assert_close(shares[:, 0], best, rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(chances.gather(1, found.clusters), shares, rtol=2e-3, atol=1e-6)
    assert (found.clusters[:, 0] != found.clusters[:, 1]).all()
    assert torch.equal(head.walk(x).clusters[:, 0], found.clusters[:, 0])


@settings(deadline=None)
@given(st.integers(0, 500))
def test_a_head_of_the_same_shape_takes_its_tensors(seed):
    head = random_tree(seed)
    other = head_like(head.state_dict())
    other.load_state_dict(head.state_dict())
    x = torch.randn(5, 6)
    assert torch.equal(other(x), head(x))


@settings(deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 6), min_size=2, max_size=6))
def test_grafted_hierarchies_are_one(seed, sizes):
    rng = np.random.default_rng(seed)

    def hierarchy(k: int) -> np.ndarray:
        joint = rng.random((k, k))
        return merge_hierarchy((joint + joint.T) / (joint + joint.T).sum(), np.eye(k))

    merges = grafted(hierarchy(len(sizes)), [None if k == 1 else hierarchy(k) for k in sizes])
    k = sum(sizes)
    assert merges.shape == (k - 1, 4)
    assert is_valid_linkage(merges)
    assert is_monotonic(merges)
    inside = Small.__new__(Small)
    inside.linkage_ = merges
    coarse = inside.merge_to(len(sizes))
    assert np.array_equal(coarse, np.repeat(np.arange(len(sizes)), sizes))


@given(st.integers(4, 10**6), st.integers(8, 512))
def test_levels_have_about_as_many_clusters_each_and_none_too_many(k, most):
    assert 2 <= _branching(k, most) <= max(most, 2)
