"""Several encoders side by side: those clearly worse than the best are left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from headlight.clustering import SCP
from headlight.clustering.fusion import judge_by_peers, shares_explained

GROUPS, A_GROUP = 8, 60
WIDTH = 32


def encoders(*noises: float, seed: int = 0) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Features of one encoder a noise, (n, 2, dims together), their lengths; classes (n,).

    Encoders see the same groups of images, in directions of their own and each with errors of its
    own.
    """
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(GROUPS), A_GROUP)
    centres = rng.normal(size=(GROUPS, WIDTH))
    found = []
    for noise in noises:
        turned = centres @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
        images = turned[classes] + noise * rng.normal(size=(len(classes), WIDTH))
        views = images[:, None] + 0.3 * noise * rng.normal(size=(len(classes), 2, WIDTH))
        found.append(views.astype(np.float32))
    return np.concatenate(found, axis=2), [part.shape[2] for part in found], classes


def test_an_encoder_clearly_worse_than_the_best_is_left_out() -> None:
    X, blocks, _ = encoders(0.5, 1.6)
    fused = SCP(GROUPS, blocks=blocks, random_state=0).fit(X)
    assert fused.blocks_used_.tolist() == [True, False]
    alone = SCP(GROUPS, random_state=0).fit(X[:, :, : blocks[0]])
    assert adjusted_rand_score(fused.labels_, alone.labels_) == 1
    assert np.array_equal(fused.predict(X[:, 0]), fused.labels_)
    # Near-duplicates are compared in all features, centred by it.
    assert np.allclose(fused.projection_.mean, X[:, 0].mean(axis=0), atol=1e-3)


def test_encoders_of_like_quality_gain_from_each_other() -> None:
    X, blocks, classes = encoders(1.2, 1.2, 1.2)
    fused = SCP(GROUPS, blocks=blocks, random_state=0).fit(X)
    assert fused.blocks_used_.all()
    together = adjusted_rand_score(classes, fused.labels_)
    for part in np.split(X, np.cumsum(blocks)[:-1], axis=2):
        alone = SCP(GROUPS, random_state=0).fit(part)
        assert together > adjusted_rand_score(classes, alone.labels_)


@pytest.mark.parametrize("n_clusters", [GROUPS, "auto"])
@pytest.mark.parametrize("kind", ["noise", "constant", "copy"])
def test_features_that_tell_nothing_new_do_no_harm(kind: str, n_clusters: int | str) -> None:
    X, blocks, classes = encoders(0.4)
    other = {
        "noise": np.random.default_rng(1).normal(size=X.shape),
        "constant": np.ones_like(X),
        "copy": X,
    }[kind]
    fused = SCP(n_clusters, blocks=blocks * 2, random_state=0)
    fused.fit(np.concatenate([X, other], axis=2, dtype=np.float32))
    assert adjusted_rand_score(classes, fused.labels_) > 0.95


def test_which_were_used_is_kept_with_the_model() -> None:
    X, blocks, _ = encoders(0.5, 1.6)
    fused = SCP(GROUPS, blocks=blocks, random_state=0).fit(X)
    again = SCP.from_state(*fused.state())
    assert again.blocks_used_.tolist() == fused.blocks_used_.tolist()
    assert np.array_equal(again.predict(X), fused.labels_)


def test_the_papers_recipe_reads_all_features() -> None:
    X, blocks, _ = encoders(0.5, 1.6)
    assert SCP(GROUPS, recipe="paper", blocks=blocks).fit(X).blocks_used_.all()


POINTS = np.arange(8)


def split(bit: int) -> np.ndarray:
    return (POINTS >> bit) & 1


def graph(bit: int) -> torch.Tensor:
    """Each number is a neighbour of all that share the bit with it."""
    return torch.from_numpy(np.array([POINTS[split(bit) == one] for one in split(bit)]))


def test_a_partition_explains_graphs_like_its_own_and_no_others() -> None:
    bits = (0, 0, 1)
    shares = shares_explained([[split(b)] for b in bits], [graph(b) for b in bits], 2)
    assert np.allclose(shares, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_of_several_partitions_of_a_space_the_mean_counts() -> None:
    shares = shares_explained([[split(0), split(1)], [split(1)]], [graph(0), graph(1)], 2)
    assert np.allclose(shares, [[1, 0.5], [0, 1]])


def test_peers_judge_by_the_graphs_of_the_others() -> None:
    """The odd one out gets nothing, though it explains its own graph: that is left out."""
    bits = (0, 0, 1)
    judged = judge_by_peers([split(b) for b in bits], [graph(b) for b in bits], 2)
    assert np.allclose(judged, [0.5, 0.5, 0])


def test_a_graph_that_its_own_partition_does_not_explain_tells_nothing() -> None:
    shares = shares_explained([[split(0)], [split(1)]], [graph(1), graph(1)], 2)
    assert np.allclose(shares, [[1, 0], [1, 1]])
