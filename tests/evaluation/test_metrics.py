from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from headlight.evaluation import (
    adjusted_rand,
    clustering_accuracy,
    confusion,
    normalized_mutual_info,
    score,
)


@st.composite
def labellings(draw, most: int = 5):
    n = draw(st.integers(1, 40))
    codes = hnp.arrays(np.int64, n, elements=st.integers(0, most - 1))
    return draw(codes), draw(codes)


def brute_force_accuracy(labels: np.ndarray, clusters: np.ndarray, most: int = 5) -> float:
    """The best over every one-to-one renaming of clusters."""
    return max(float((np.array(p)[clusters] == labels).mean()) for p in permutations(range(most)))


@settings(max_examples=60, deadline=None)
@given(labellings())
def test_accuracy_is_the_best_over_all_renamings(pair):
    labels, clusters = pair
    assert clustering_accuracy(labels, clusters) == pytest.approx(
        brute_force_accuracy(labels, clusters)
    )


@settings(max_examples=60, deadline=None)
@given(labellings(), st.permutations(range(5)), st.permutations(range(5)), st.randoms())
def test_names_and_order_of_rows_do_not_matter(pair, rename_labels, rename_clusters, random):
    labels, clusters = pair
    order = list(range(len(labels)))
    random.shuffle(order)
    renamed = np.array(rename_labels)[labels][order], np.array(rename_clusters)[clusters][order]
    assert score(*renamed) == pytest.approx(score(labels, clusters))


@settings(max_examples=60, deadline=None)
@given(labellings(), st.permutations(range(5)))
def test_a_perfect_clustering_scores_one(pair, rename):
    labels, _ = pair
    expected = {"acc": 1, "nmi": 1, "ari": 1}
    assert score(labels, np.array(rename)[labels]) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(labellings())
def test_figures_stay_in_their_range(pair):
    figures = score(*pair)
    assert 0 < figures["acc"] <= 1
    assert -1e-12 <= figures["nmi"] <= 1 + 1e-12
    assert -0.5 - 1e-12 <= figures["ari"] <= 1 + 1e-12


def test_known_figures():
    labels, clusters = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2]
    assert clustering_accuracy(labels, clusters) == pytest.approx(4 / 6)
    assert normalized_mutual_info(labels, clusters) == pytest.approx(0.5158037, abs=1e-6)
    assert adjusted_rand(labels, clusters) == pytest.approx(0.2424242, abs=1e-6)


def test_surplus_clusters_and_surplus_classes_count_as_wrong():
    assert clustering_accuracy([0, 0, 0, 0], [0, 1, 2, 3]) == 0.25
    assert clustering_accuracy([0, 1, 2, 3], [0, 0, 0, 0]) == 0.25


def test_strings_are_labels_too():
    labels = np.array(["cat", "dog", "cat", "bird"])
    assert score(labels, [2, 0, 2, 1])["acc"] == 1
    assert score(list(labels), ["x", "y", "x", "x"])["acc"] == 0.75


def test_confusion_counts_names_and_matches():
    found = confusion(["b", "a", "b", "b", "a"], [7, 3, 7, 3, 3])
    assert found.classes.tolist() == ["a", "b"]
    assert found.clusters.tolist() == [3, 7]
    assert found.table.tolist() == [[2, 0], [1, 2]]
    assert found.matching.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("labels", "clusters", "sentence"),
    [
        ([0, 1], [0], "labels has 2 rows, clusters has 1"),
        ([[0, 1]], [0, 1], "labels must be one-dimensional"),
        ([0, 1], np.zeros((2, 1)), "clusters must be one-dimensional"),
        ([], [], "empty"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(labels, clusters, sentence):
    for metric in (clustering_accuracy, normalized_mutual_info, adjusted_rand, confusion, score):
        with pytest.raises(ValueError, match=sentence):
            metric(labels, clusters)
