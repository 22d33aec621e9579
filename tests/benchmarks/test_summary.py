"""The arithmetic of the summary, on rows made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.methods.results import SCHEMA
from benchmarks.methods.scoring import calibration_error, scored
from benchmarks.methods.summary import counts, duels, standings
from benchmarks.methods.table import table

EMPTY = dict.fromkeys(SCHEMA.names)


def row(method, data, acc, *, seed=0, views="none", balance="natural", **more):
    fixed = {"split": "fit", "nmi": acc / 2, "ari": acc / 3, "n": 6000, "n_clusters": 10}
    fixed |= {"found": 10, "noise": 0.0, "seconds": 1.0, "machine": "here", "process": "p"}
    own = {"method": method, "data": data, "acc": acc, "seed": seed, "views": views}
    return EMPTY | fixed | own | {"balance": balance} | more


OURS = "headlight_robust"
ROWS = [
    # Seeds differ; on set b UMAP is better than ours, on set a k-means is the better reference.
    row(OURS, "a", 0.8, seconds=3.0),
    row(OURS, "a", 0.9, seed=1, seconds=2.0),
    row(OURS, "b", 0.5, seconds=1.0),
    row("k_means", "a", 0.7),
    row("k_means", "b", 0.4),
    row("umap_kmeans", "a", 0.6, seconds=6.0),
    row("umap_kmeans", "a", 0.6, seed=1, seconds=8.0),
    row("umap_kmeans", "b", 0.7, seconds=2.0),
    row("ward", "a", 0.95),
]


def found(rows=ROWS, balance="natural", views="none"):
    return {one.method: one for one in standings(rows, balance, views)}


def test_means_are_over_sets_of_means_over_seeds():
    ours = found()[OURS]
    assert ours.acc == pytest.approx((0.85 + 0.5) / 2)
    assert ours.nmi == pytest.approx((0.425 + 0.25) / 2)
    assert ours.sets == 2


def test_wins_are_sets_where_nobody_is_better():
    wins = {name: one.wins for name, one in found().items()}
    assert wins == {OURS: 0, "k_means": 0, "umap_kmeans": 1, "ward": 1}


def test_worst_is_against_the_better_reference_on_each_set():
    every = found()
    assert every[OURS].worst == (pytest.approx(-0.2), "b")  # a: + .15
    assert every["umap_kmeans"].worst == (pytest.approx(-0.1), "a")
    assert every["ward"].worst == (pytest.approx(0.25), "a")


def test_no_worst_where_a_reference_is_missing():
    rows = [one for one in ROWS if (one["method"], one["data"]) != ("umap_kmeans", "b")]
    assert found(rows)[OURS].worst == (pytest.approx(0.15), "a")


def test_spread_is_the_largest_standard_deviation_over_seeds():
    more = [*ROWS, row(OURS, "b", 0.52, seed=1)]
    assert found(more)[OURS].spread == (pytest.approx(0.05 * 2**0.5), "a")
    assert found()["k_means"].spread is None


def test_time_is_the_mean_ratio_on_large_sets_within_one_process():
    assert found()[OURS].time == pytest.approx(((3 / 6 + 2 / 8) / 2 + 1 / 2) / 2)
    small = [one | {"n": 5000} if one["data"] == "b" else one for one in ROWS]
    assert found(small)[OURS].time == pytest.approx((3 / 6 + 2 / 8) / 2)
    other = [one | {"process": "q"} if one["method"] == OURS else one for one in ROWS]
    assert found(other)[OURS].time is None


def test_memory_is_the_most_growth_in_units_of_the_input():
    rows = [
        row(OURS, "a", 0.5, memory_mib=30.0, input_mib=20.0),
        row(OURS, "b", 0.5, memory_mib=30.0, input_mib=30.0),
        row(OURS, "c", 0.5, memory_mib=90.0, input_mib=1.0, n=100),
    ]
    assert found(rows)[OURS].memory == pytest.approx(1.5)


def test_with_views_each_method_takes_the_best_features_that_it_can_use():
    rows = [*ROWS, row(OURS, "a", 0.3, views="gentle"), row(OURS, "b", 0.3, views="gentle")]
    plain, views = found(rows), found(rows, views="gentle")
    assert (plain[OURS].views, plain[OURS].acc) == ("none", pytest.approx(0.675))
    assert (views[OURS].views, views[OURS].acc) == ("gentle", pytest.approx(0.3))
    assert views["k_means"] == plain["k_means"]
    assert views[OURS].worst == (pytest.approx(-0.4), "a")


def test_failures_images_kept_aside_and_doubles_do_not_count():
    aside = row(OURS, "a", 0.1) | {"split": "test"}
    failed = row(OURS, "c", 0.0) | {"acc": None, "error": "no"}
    double = row(OURS, "cifar10-50k", 0.1)
    tail = row(OURS, "a", 0.1, balance="long-tailed")
    assert found([*ROWS, aside, failed, double, tail]) == found()


def test_the_best_peer_is_named_on_each_set():
    rows = [*ROWS, row("headlight_paper", "b", 0.99)]
    assert [(one.data, one.peer, one.theirs) for one in duels(rows, "natural", "none")] == [
        ("a", "ward", 0.95),
        ("b", "umap_kmeans", 0.7),
    ]


def test_estimates_that_are_alike_share_a_line():
    def auto(seed, estimate, low, high):
        given = {"estimate": estimate, "low": low, "high": high, "levels": [estimate, 31]}
        return row("headlight_auto", "a", 0.5, seed=seed, **given)

    first, second = counts([auto(0, 13, 10, 20), auto(1, 14, 11, 20), auto(2, 13, 10, 20)])
    assert (first.seeds, first.estimate, first.levels) == ((0, 2), 13, (13, 31))
    assert (first.true, first.within_range, first.near) == (10, True, True)
    assert (second.within_range, second.near) == (False, False)


def test_the_table_holds_the_summary_the_calibration_and_the_counts():
    rows = [
        *(one | {"ece": 0.1 if one["data"] == "a" else 0.2} for one in ROWS),
        row("headlight_auto", "a", 0.5, estimate=10, low=8, high=9, levels=[10, 31]),
    ]
    text = table(rows)
    assert "| natural, plain | **headlight_robust** | 0.675 | 0.338 | 0 of 2 | -0.200 b |" in text
    assert "| natural, plain | a | 0.850 | 0.950 ward | -0.100 |" in text
    assert "| natural, plain | **0.150** | a 0.100, b 0.200 |" in text
    assert "| natural, plain | a | 10 | 10 | 8–9 | **no** | yes | 10, 31 | 0 |" in text
    assert "within the range on 0 of 1 sets, near on 1." in text


def test_calibration_error_weighs_each_bin_by_its_rows():
    classes = np.array([0, 0, 0, 1, 1])
    labels = np.array([1, 1, 0, 0, 0])  # cluster 1 is class 0: the third row is wrong
    confidence = np.array([0.95, 0.97, 0.55, 0.55, 1.0])
    # Bins of 1/15: {.95, .97, 1.0} all right, mean .9733; {.55, .55} half right.
    expected = 3 / 5 * (1 - (0.95 + 0.97 + 1.0) / 3) + 2 / 5 * (0.55 - 0.5)
    assert calibration_error(classes, labels, confidence) == pytest.approx(expected)


def test_rows_of_a_surplus_cluster_are_wrong():
    classes, labels = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    assert calibration_error(classes, labels, np.ones(4)) == pytest.approx(0.25)


def test_scores_refuse_labels_of_other_rows():
    with pytest.raises(ValueError, match="3 rows were given"):
        scored(np.arange(3), np.arange(2))
