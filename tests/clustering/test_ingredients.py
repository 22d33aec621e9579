"""Each ingredient of the method does its work: take one away, and a test here fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from headlight.clustering import SCP, Features
from headlight.clustering.constants import ROBUST
from headlight.clustering.features import as_features
from headlight.clustering.graph import Spectrum, affinity, neighbour_graph
from headlight.clustering.information import graph_information, merge_groups
from headlight.clustering.projection import fit_projection, project
from headlight.clustering.spaces import Space, _last_of_the_best, best_start
from headlight.evaluation import score
from headlight.runs import Run
from tests.conftest import all_views


@pytest.fixture(scope="module")
def digits(digits_run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Features (1797, 3, 1280) of the bundled encoder, and the true digits."""
    paths, stored = digits_run.features.load()
    number = [int(path.split("/")[-1].removesuffix(".png")) for path in paths.to_pylist()]
    return all_views(stored), load_digits().target[number]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits_with_views_are_as_good_as_measured(digits, seed):
    """ACC .854, .855, .850 and NMI .780, .788, .781 in float32; all are higher in bfloat16."""
    X, truth = digits
    scores = score(truth, SCP(10, random_state=seed).fit(X).labels_)
    assert scores["acc"] >= 0.845
    assert scores["nmi"] >= 0.775


def test_digits_without_views_are_as_good_as_measured(digits):
    """ACC .757, NMI .707 in float32; .791, .741 in bfloat16."""
    X, truth = digits
    scores = score(truth, SCP(10, random_state=0).fit(X[:, 0]).labels_)
    assert scores["acc"] >= 0.75
    assert scores["nmi"] >= 0.70


def test_neighbours_alone_make_a_projection_that_is_better_than_principal_components(digits):
    X, truth = digits
    features = Features(X[:, 0])
    points = project(features, fit_projection(features, 256)).plain.float()
    centred = torch.from_numpy(X[:, 0].astype(np.float32) - X[:, 0].astype(np.float32).mean(axis=0))
    principal = torch.pca_lowrank(centred, 256, center=False)[0] * 1.0
    scaled = torch.nn.functional.normalize(centred, dim=1)
    assert purity(points, truth) > purity(scaled, truth) + 0.005
    assert purity(points, truth) > purity(torch.nn.functional.normalize(principal, dim=1), truth)


def purity(points: torch.Tensor, truth: np.ndarray) -> float:
    """Share of the ten nearest neighbours that are of a row's own class."""
    similarity = points @ points.T
    similarity.fill_diagonal_(-2)
    return float((truth[similarity.topk(10).indices.numpy()] == truth[:, None]).mean())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_space_that_the_others_understand_is_chosen(make_blobs, place):
    """Two spaces keep six groups apart, the third merges them by pairs: it tells less of theirs."""
    X, truth = make_blobs([80] * 6, dim=20)
    rows = torch.nn.functional.normalize(torch.from_numpy(X[:, 0]).float(), dim=1)
    rng = torch.Generator().manual_seed(0)
    good = [rows + 0.02 * torch.randn(rows.shape, generator=rng) for _ in range(2)]
    means = torch.stack([rows[truth // 2 == pair].mean(dim=0) for pair in range(3)])
    merged = means[truth // 2] + 0.3 * torch.randn(rows.shape, generator=rng)
    kinds = [("first", good[0]), ("second", good[1])]
    kinds.insert(place, ("merged", merged))
    spaces = [
        Space(name, None, Spectrum(neighbour_graph(Features(points)))) for name, points in kinds
    ]
    assert best_start(spaces, 6, seed=0)[0].name != "merged"


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 4))
def test_of_spaces_as_good_as_each_other_the_last_is_taken(seed, tried, m):
    rng = np.random.default_rng(seed)
    same = np.repeat(rng.uniform(0.5, 1, (1, tried, 1)), m, axis=0).repeat(m, axis=2)
    assert _last_of_the_best(same, 1.5) == m - 1
    ahead = int(rng.integers(m))
    better = same.copy()
    better[ahead] += 0.2  # its partitions explain all graphs better than their own do
    assert _last_of_the_best(better * rng.uniform(0.999, 1, same.shape), 1.5) == ahead


def test_a_lead_smaller_than_partitions_differ_is_none():
    information = np.ones((2, 6, 2))
    information[0, :, 1] = [1.3, 0.8, 1.3, 0.8, 1.2, 0.8]
    information[1, :, 0] = 0.99
    assert _last_of_the_best(information, 0.0) == 0
    assert _last_of_the_best(information, 1.5) == 1


def test_views_that_swap_classes_are_not_learned_from(make_blobs):
    """Views as pairs would join what the rows keep apart; without them nothing is lost."""
    X, truth = make_blobs([150] * 4, dim=20, views=2)
    X[:, 1] = X[np.random.default_rng(0).permutation(600), 0]
    labels = SCP(4, random_state=0).fit(X).labels_
    assert score(truth, labels)["acc"] > 0.95


@given(st.integers(0, 10**6), st.integers(3, 9), st.data())
def test_merging_explains_no_less_than_greedy_steps_by_brute_force(seed, m, data):
    """These recompute everything at each step; single groups then move to explain more still."""
    k = data.draw(st.integers(1, m - 1))
    rng = np.random.default_rng(seed)
    shares = rng.random((m, m)) + 2 * np.eye(m)
    shares = (shares + shares.T) / (shares + shares.T).sum()

    def explained(cluster: np.ndarray) -> float:
        of = np.equal.outer(cluster, np.unique(cluster)).astype(float)
        return graph_information(of.T @ shares @ of)

    cluster = np.arange(m)
    while len(names := np.unique(cluster)) > k:
        pairs = ((a, b) for i, a in enumerate(names) for b in names[i + 1 :])
        merged = [np.where(cluster == b, a, cluster) for a, b in pairs]
        cluster = max(merged, key=explained)
    assert explained(merge_groups(shares, k)) >= explained(cluster) - 1e-9


def test_edges_are_scaled_by_how_dense_their_surroundings_are():
    """A tight group and a loose one: seen at their own scales their edges weigh the same."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    tight = axes[0] + 0.02 * rng.normal(size=(200, 40))
    loose = axes[1] + 0.2 * rng.normal(size=(200, 40))
    rows = torch.nn.functional.normalize(torch.from_numpy(np.concatenate([tight, loose])), dim=1)
    edges = affinity(neighbour_graph(Features(rows.float())))
    degree = np.asarray(edges.sum(axis=1)).ravel()
    assert 0.8 < degree[:200].mean() / degree[200:].mean() < 1.25


@pytest.mark.parametrize(("recipe", "falls"), [("robust", True), ("paper", False)])
def test_the_learning_rate_falls_along_half_a_cosine(
    make_blobs, monkeypatch: pytest.MonkeyPatch, recipe: str, falls: bool
) -> None:
    rates: list[float] = []

    class Recording(torch.optim.Adam):
        def step(self, closure=None):  # type: ignore[no-untyped-def]
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Recording)
    X, _ = make_blobs([60] * 4, views=2)
    SCP(4, recipe=recipe, learning_rate=0.1, n_epochs=10, random_state=0).fit(X)
    if falls:
        rates = rates[SCP.constants.start_steps :]  # before them the head learns its start
    steps = np.arange(len(rates))
    half_cosine = 0.05 * (1 + np.cos(np.pi * steps / len(steps)))
    assert len(rates) >= 10
    np.testing.assert_allclose(rates, half_cosine if falls else 0.1)


def test_confidence_is_cooled_to_the_share_that_is_right(digits):
    X, truth = digits
    scp = SCP(10, random_state=0).fit(X)
    confidence = scp.predict_proba(X).max(axis=1).mean()
    assert scp.temperature_ > 1.5
    assert abs(confidence - score(truth, scp.labels_)["acc"]) < 0.12
    assert confidence < 0.9  # .97 uncooled


def test_views_of_no_more_than_4000_rows_are_learned_from(make_blobs):
    X, _ = make_blobs([1_500] * 4, dim=20, views=2)
    X[:, 1] += np.random.default_rng(0).normal(size=X[:, 1].shape).astype(np.float32)
    features = as_features(X).limit_views(ROBUST.viewed_rows)
    assert features.has_views(np.arange(6_000)).sum() == 4_000
    read = ~features.has_views(np.arange(6_000))
    changed = X.copy()
    changed[read, 1] = 1e3
    first, second = (SCP(4, random_state=0).fit(x) for x in (X, changed))
    np.testing.assert_array_equal(first.labels_, second.labels_)
    assert torch.equal(first.head_.weight, second.head_.weight)
