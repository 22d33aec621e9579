"""Every method, on clusters that nobody can miss; and what is special to each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import homogeneity_score

from benchmarks.methods import load, names
from benchmarks.methods.base import NeighbourPairs, Space, k_means, nearest
from benchmarks.methods.data import Features, unit
from benchmarks.methods.entrants import scan, temi, turtle, ward
from benchmarks.methods.registry import takes
from headlight.evaluation import clustering_accuracy

NEEDS = {"umap_kmeans": "umap", "umap_hdbscan": "umap", "evoc": "evoc"}
PREDICTS = {
    "gaussian_mixture",
    "headlight_auto",
    "headlight_paper",
    "headlight_robust",
    "k_means",
    "scan",
    "temi",
    "turtle",
    "umap_kmeans",
}


@pytest.fixture
def quick(monkeypatch):
    """The methods that train, with as many steps as blobs need."""
    monkeypatch.setattr(scan, "STEPS", (300, 300))
    monkeypatch.setattr(scan, "LEARNING_RATE", 1e-3)
    monkeypatch.setattr(temi, "STEPS", 150)
    monkeypatch.setattr(temi, "LEARNING_RATE", 3e-3)
    monkeypatch.setattr(temi, "WARM_UP_STEPS", 30)
    monkeypatch.setattr(temi, "TEACHER_MOMENTUM", 0.96)
    monkeypatch.setattr(temi, "N_HEADS", 4)
    monkeypatch.setattr(temi, "WIDTH", (64, 32))
    monkeypatch.setattr(turtle, "ITERATIONS", 300)
    monkeypatch.setattr(turtle, "LEARNING_RATE", 1e-2)


def entrant(name):
    if name in NEEDS:
        needs = f"{name} (pip install 'headlight-images[benchmarks]')"
        pytest.importorskip(NEEDS[name], reason=needs)
    return load(name)


@pytest.mark.parametrize("name", names())
def test_method_finds_blobs_the_same_way_each_time(name, quick, make_blobs):
    method = entrant(name)
    for views in ("none", "gentle"):
        if not takes(name, views):
            continue
        features, classes = make_blobs(views={"none": 0, "gentle": 1}[views], every=1)
        fitted = method.fit(features, 4, 0)
        assert fitted.labels.shape == (240,)
        assert fitted.labels.dtype.kind == "i"
        if name == "evoc":  # splits blobs, and leaves noise: but its clusters must not mix them
            kept = fitted.labels >= 0
            assert kept.mean() > 0.5
            assert homogeneity_score(classes[kept], fitted.labels[kept]) >= 0.98
        else:
            assert clustering_accuracy(classes, fitted.labels) >= 0.98
        np.testing.assert_array_equal(method.fit(features, 4, 0).labels, fitted.labels)


@pytest.mark.parametrize("name", sorted(PREDICTS))
def test_prediction_puts_new_points_with_the_old(name, quick, make_blobs):
    features, classes = make_blobs(n=360, views=1, every=1)
    fitted = entrant(name).fit(features.take(np.arange(240)), 4, 0)
    together = np.concatenate([fitted.labels, fitted.predict(features.plain[240:])])
    assert clustering_accuracy(classes, together) >= 0.98


def test_all_methods_are_found():
    assert set(names()) == PREDICTS | {"spectral", "umap_hdbscan", "evoc", "ward"}


def test_neighbours_leave_the_point_itself_out_even_among_copies():
    points = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2]]
    found, similarity = nearest(points, 2)
    assert not (found == np.arange(5)[:, None]).any()
    assert set(found[0]) == {1, 2}
    np.testing.assert_allclose(similarity[0], 1)


def test_space_projects_plain_images_and_views_alike_to_length_1(make_blobs):
    features, _ = make_blobs(dim=250, views=2)
    space = Space(features, 0)
    assert space.dim == 200
    np.testing.assert_allclose(np.linalg.norm(space.points(), axis=1), 1, atol=1e-3)
    np.testing.assert_array_equal(space.new(features.plain), space.points())
    # Matrix products of other sizes may round otherwise, and float16 makes more of it.
    again = space.new(features.views[:, 1])
    np.testing.assert_allclose(again, space.views[:, 1].float(), rtol=0, atol=1e-3)


def test_pairs_draw_views_of_the_rows_that_have_them_and_no_others(make_blobs):
    features, _ = make_blobs(n=60, views=1)
    space = Space(features, 0)
    place = {row: at for at, row in enumerate(features.viewed)}
    pairs = NeighbourPairs(space, 5, 0)
    drawn = {False: 0, True: 0}
    for _ in range(20):
        rows = pairs._rows(torch.arange(60)) / space.dim**0.5
        for row, found in enumerate(rows):
            if torch.allclose(found, space.plain[row].float(), atol=1e-3):
                continue
            torch.testing.assert_close(found, space.views[place[row], 0].float(), atol=1e-3, rtol=0)
            drawn[row in place] += 1
    assert drawn[True] > 100
    assert drawn[False] == 0


@pytest.mark.parametrize(
    "name", ["k_means", "umap_kmeans", "umap_hdbscan", "evoc", "spectral", "ward"]
)
def test_peers_see_the_features_as_they_are_at_length_1(name, make_blobs, monkeypatch):
    method = entrant(name)
    features, _ = make_blobs()
    seen = []

    def spy(self):
        seen.append(unit(self.plain))
        return seen[-1]

    monkeypatch.setattr(Features, "unit", spy)
    monkeypatch.setattr(Space, "__init__", lambda *_: pytest.fail("a projection of ours"))
    method.fit(features, 4, 0)
    assert len(seen) == 1
    expected = features.plain / np.linalg.norm(features.plain.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(seen[0], expected, atol=1e-6)


def test_k_means_labels_all_rows_and_others():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((550, 2)) + 9 * (np.arange(550) < 50)[:, None]
    labels, assign = k_means(points, 2, 0)
    assert sorted(np.bincount(labels)) == [50, 500]
    assert assign(np.full((1, 2), 8.0)) == labels[0]


def test_ward_on_the_neighbour_graph_finds_the_same_blobs(monkeypatch, make_blobs):
    features, classes = make_blobs()
    monkeypatch.setattr(ward, "EXACT", 100)
    assert clustering_accuracy(classes, ward.fit(features, 4, 0).labels) >= 0.98


def test_scan_loss_is_the_papers_equation():
    P = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])
    Q = torch.tensor([[[0.6, 0.4], [0.5, 0.5]]])
    agreement = -(np.log(0.9 * 0.6 + 0.1 * 0.4) + np.log(0.2 * 0.5 + 0.8 * 0.5)) / 2
    entropy = -(0.55 * np.log(0.55) + 0.45 * np.log(0.45))
    assert scan.scan_loss(P, Q, 5.0).tolist() == pytest.approx([agreement - 5 * entropy])


def test_temi_loss_is_the_papers_equation():
    s1, s2 = torch.tensor([[[0.7, 0.3]]]), torch.tensor([[[0.6, 0.4]]])
    t1, t2 = torch.tensor([[[0.8, 0.2]]]), torch.tensor([[[0.9, 0.1]]])
    marginals = torch.tensor([[0.25, 0.75]])
    weight = 0.8 * 0.9 + 0.2 * 0.1
    forth = np.log((0.7 * 0.9) ** 0.6 / 0.25 + (0.3 * 0.1) ** 0.6 / 0.75)
    back = np.log((0.6 * 0.8) ** 0.6 / 0.25 + (0.4 * 0.2) ** 0.6 / 0.75)
    loss = temi.temi_loss((s1, s2), (t1, t2), marginals, 0.6)
    assert loss.tolist() == pytest.approx([-weight * (forth + back) / 2], rel=1e-5)


def test_temi_weighs_each_pair_by_the_agreement_of_all_heads():
    sure, unsure = [0.99, 0.01], [0.5, 0.5]
    teacher = torch.tensor([[sure, sure], [sure, unsure]])  # (heads, batch, clusters)
    weight = temi.agreement(teacher, teacher)
    assert weight.tolist() == pytest.approx([0.9802, (0.9802 + 0.5) / 2])


def test_temi_with_smaller_beta_gains_less_from_sharp_assignments():
    marginals = torch.tensor([[0.5, 0.5]])
    sharp, soft = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.6, 0.4]]])

    def gain(beta):
        return float(
            temi.pmi(sharp, sharp, marginals, beta) - temi.pmi(soft, soft, marginals, beta)
        )

    assert gain(1.0) > gain(0.6)


def test_turtle_prefers_the_true_labelling_to_a_random_one(make_blobs):
    features, classes = make_blobs()
    X = torch.from_numpy(Space(features, 0).points()) * 50**0.5
    true = torch.nn.functional.one_hot(torch.from_numpy(classes)).float()
    shuffled = true[torch.randperm(len(true), generator=torch.Generator().manual_seed(0))]
    torch.manual_seed(0)
    assert turtle.objective(X, true, 10.0) < turtle.objective(X, shuffled, 10.0) - 0.1
    one = torch.zeros_like(true)
    one[:, 0] = 1  # everything in one cluster: what the entropy is there to forbid
    assert turtle.objective(X, true, 10.0) < turtle.objective(X, one, 10.0)


def test_turtle_takes_the_classifier_for_a_constant(make_blobs):
    features, _ = make_blobs()
    X = torch.from_numpy(Space(features, 0).points())
    labels = torch.full((len(X), 4), 0.25, requires_grad=True)
    torch.manual_seed(0)
    turtle.objective(X, labels, 0.0).backward()
    torch.manual_seed(0)
    logits = turtle.inner(X, labels.detach())(X)
    expected = -logits.log_softmax(dim=1).detach() / len(X)  # d CE / d labels, logits fixed
    torch.testing.assert_close(labels.grad, expected)
