"""Edits replayed: the same state from memory and from disk, whatever came before."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.review.log import (
    FILE,
    assign,
    clusters_of,
    mark_done,
    mark_outliers,
    merge,
    move,
    rename,
    split,
)
from headlight.review.review import Review, review
from headlight.review.wording import described
from headlight.runs import Run, load_run
from tests.explore.handmade import handmade_run

N = 12


def small(folder: Path) -> Run:
    clusters = {"a": [f"a{i}" for i in range(5)], "b": [f"b{i}" for i in range(7)], "empty": []}
    return handmade_run(folder / "r", folder, clusters)


@pytest.fixture
def now(tmp_path: Path) -> Review:
    return review(small(tmp_path))


def rows_in(now: Review, cluster: int) -> np.ndarray:
    return np.flatnonzero(now.labels == cluster)


def snapshot(now: Review) -> tuple[Any, ...]:
    marks = now.labels.tolist(), now.outlier.tolist(), now.by_hand.tolist()
    return *marks, dict(now.names), set(now.done), now.n_edits


def test_without_edits_the_tables_are_the_runs_own(fitted: Run) -> None:
    now = review(fitted)
    assert now.assignments().drop_columns("outlier").equals(fitted.assignments)
    assert now.clusters().drop_columns("done").equals(fitted.clusters)
    assert now.assignments()["outlier"].type == now.clusters()["done"].type == pa.bool_()
    assert not any(now.assignments()["outlier"].to_pylist() + now.clusters()["done"].to_pylist())
    assert (now.n_edits, now.note, now.undoable, now.redoable) == (0, "", None, None)
    assert not (fitted.path / FILE).exists()


rows = st.lists(st.integers(0, N - 1), max_size=6).map(lambda r: np.array(r, np.int64))
cluster = st.integers(0, 6)
name = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
edits = st.one_of(
    st.builds(rename, cluster, name),
    st.builds(merge, st.lists(cluster, max_size=3), cluster),
    st.builds(lambda c, r, new, n: split(c, {new: r}, {new: n}), cluster, rows, cluster, name),
    st.builds(lambda c, r: move({c: r}), cluster, rows),
    st.builds(lambda c, r, n: move({c: r}, {c: n}), cluster, rows, name),
    st.builds(lambda c, r, d, s: assign({c: r, d: s}), cluster, rows, cluster, rows),
    st.builds(mark_outliers, rows, st.booleans()),
    st.builds(mark_done, cluster, st.booleans()),
    st.sampled_from([{"edit": "undo"}, {"edit": "undo"}, {"edit": "redo"}]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(edits, max_size=25))
def test_any_sequence_replays_from_disk_to_the_same_state(sequence: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        now = review(small(Path(folder)))
        first = snapshot(now)
        past = [first]
        for edit in sequence:
            before = snapshot(now)
            try:
                now.edit(edit)
            except HeadlightError:
                assert snapshot(now) == before
                continue
            if edit["edit"] == "undo":
                assert snapshot(now)[:-1] == past[now.n_edits][:-1]
            elif edit["edit"] != "redo":
                past[now.n_edits :] = [snapshot(now)]
            assert set(now.labels.tolist()) <= now.names.keys()
            assert now.done <= now.names.keys()
        again = review(load_run(now.run.path))
        assert snapshot(again) == snapshot(now)
        table = now.clusters()
        assert table["size"].to_pylist() == [len(rows_in(now, c)) for c in sorted(now.names)]
        assert sum(table["size"].to_pylist()) == N
        last, count = snapshot(now), now.n_edits
        for _ in range(count):
            now.undo()
        assert snapshot(now) == first
        with pytest.raises(HeadlightError, match="nothing to undo"):
            now.undo()
        for _ in range(count):
            now.redo()
        assert snapshot(now) == last
        assert snapshot(review(load_run(now.run.path))) == last


def test_merge_keeps_the_one_merged_into(now: Review) -> None:
    now.edit(mark_done(1, True))
    now.edit(merge([0, 1], 0))
    assert now.names == {0: "a", 2: "empty"}
    assert (now.labels == 0).all()
    assert now.done == set()
    now.undo()
    assert (now.names[1], now.done, len(rows_in(now, 1))) == ("b", {1}, 7)


def test_split_needs_rows_that_are_still_there(now: Review) -> None:
    new = now.new_cluster()
    part = split(1, {3: rows_in(now, 1)[:3]}, new)
    now.edit(move({0: rows_in(now, 1)[:1]}))
    with pytest.raises(HeadlightError, match="no longer in the cluster"):
        now.edit(part)
    now.undo()
    now.edit(part)
    assert now.names[3] == "cluster-3"
    assert now.new_cluster() == {4: "cluster-4"}


def test_numbers_of_clusters_are_never_used_again(now: Review) -> None:
    now.edit(move({3: np.array([0])}, {3: "new"}))
    now.edit(merge([0, 3], 0))
    assert now.new_cluster(2) == {4: "cluster-4", 5: "cluster-5"}
    now.edit(rename(0, "cluster-4"))
    assert now.new_cluster() == {4: "cluster-4 (2)"}


def test_only_rows_moved_by_hand_are_constraints(now: Review) -> None:
    now.edit(assign({0: np.array([8, 9])}))
    assert not now.by_hand.any()
    now.edit(move({0: np.array([10, 9])}))  # 9 is there already: a person says it is right
    assert np.flatnonzero(now.by_hand).tolist() == [9, 10]
    now.edit(merge([0, 1], 1))
    assert np.flatnonzero(now.by_hand).tolist() == [9, 10]
    now.edit(assign({0: np.array([9])}) | {"new": {"0": "z"}})
    assert np.flatnonzero(now.by_hand).tolist() == [10]


@pytest.mark.parametrize(
    ("given_name", "why"),
    [
        ("", "empty"),
        ("  \u3000", "empty"),
        ("x" * 201, "201 letters is too long"),
        ("x" * 10_000, "10,000 letters is too long"),
        ("two\nlines", "line breaks"),
        ("nul\0", "control"),
        ("half \ud800", "control"),
        ("b", "another cluster is called 'b'"),
    ],
)
def test_names_that_would_do_harm_are_refused(now: Review, given_name: str, why: str) -> None:
    with pytest.raises(HeadlightError, match=why):
        now.edit(rename(0, given_name))
    assert now.names[0] == "a"
    assert not (now.run.path / FILE).exists()


@pytest.mark.parametrize(
    "good", ["x" * 200, "<b onclick='x'>&\"", "a/b\\c", "日本語 🦋", "../../etc", " trimmed  "]
)
def test_odd_names_are_kept_as_text(now: Review, good: str) -> None:
    now.edit(rename(0, good))
    assert review(load_run(now.run.path)).names[0] == " ".join(good.split())


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (rename(9, "x"), "no cluster 9 any more"),
        (merge([0], 0), "two clusters or more"),
        (merge([0, 1], 2), "two clusters or more"),
        (move({0: np.array([0]), 1: np.array([0])}), "two clusters"),
        (assign({0: np.array([0])}), "already"),
        (mark_outliers(np.array([1]), False), "no outliers"),
        (mark_done(0, False), "not marked"),
        (move({0: np.array([99])}), "not below 12"),
        (move({0: np.array([-1])}), "not below 12"),
        ({"edit": "move", "to": {"x": np.array([1])}, "new": {}}, "can't be understood"),
        ({"edit": "move", "to": ["1"], "new": {}}, "can't be understood"),
        (move({-1: np.array([1])}), "can't be understood"),
        ({"edit": "rename", "cluster": True, "name": "x"}, "can't be understood"),
        ({"edit": "merge", "clusters": 7, "into": 0}, "can't be understood"),
        ({"edit": "rename"}, "can't be understood"),
        ({"edit": "explode"}, "no edit called 'explode'"),
        ({"edit": "redo"}, "nothing to redo"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(now: Review, edit: dict, why: str) -> None:
    before = snapshot(now)
    with pytest.raises(HeadlightError, match=why):
        now.edit(edit)
    assert snapshot(now) == before
    assert not (now.run.path / FILE).exists()


def test_tables_follow_the_edits(fitted_copy: Path) -> None:
    run = load_run(fitted_copy)
    now = review(run)
    strange = int(rows_in(now, 0)[0])
    typical = run.clusters.to_pylist()[1]["prototypes"][0]
    first = run.assignments["path"].to_pylist().index(typical)
    now.edit(move({2: np.array([strange])}))
    now.edit(mark_outliers(np.array([first]), True))
    now.edit(rename(1, "discs"))
    now.edit(mark_done(2, True))
    table = review(load_run(fitted_copy)).clusters()
    assert table.schema.names == [*run.clusters.schema.names, "done"]
    a, b, c = table.to_pylist()
    before = run.clusters.to_pylist()
    assert (a["size"], c["size"]) == (before[0]["size"] - 1, before[2]["size"] + 1)
    assert a["quality"] is c["quality"] is a["stability"] is None
    assert b["quality"] == before[1]["quality"]
    confidence = run.assignments["confidence"].to_numpy()
    assert c["mean_confidence"] == pytest.approx(confidence[rows_in(now, 2)].mean(), abs=1e-6)
    assert (b["name"], c["done"], a["done"]) == ("discs", True, False)
    assert typical not in b["prototypes"]
    assert b["prototypes"]
    paths = np.array(run.assignments["path"].to_pylist())
    for row in (a, b, c):
        assert set(row["prototypes"]) <= set(paths[rows_in(now, row["cluster"])])
        assert sorted([row["cluster"], *row["nearest"]]) == [0, 1, 2]
    rows = now.assignments()
    assert rows["cluster"].to_pylist()[strange] == 2
    assert np.flatnonzero(rows["outlier"].to_numpy()).tolist() == [first]
    assert rows["path"].equals(run.assignments["path"])


def test_prototypes_of_changed_clusters_are_found_as_the_fit_finds_them(fitted_copy: Path) -> None:
    now = review(load_run(fitted_copy))
    before = now.clusters().drop_columns("done").to_pylist()
    row = rows_in(now, 0)[:1]
    now.edit(move({1: row}))
    now.edit(move({0: row}))  # back, so the clusters are as fitted, yet an image was touched
    assert now.clusters().drop_columns("done").to_pylist() == before
    now.edit(move({1: row}))
    now.edit(mark_outliers(row, True))
    found = now.clusters().to_pylist()
    assert found[1]["prototypes"] == before[1]["prototypes"]  # of a new member, an outlier
    assert found[2]["quality"] == before[2]["quality"]


def test_tables_need_no_features(fitted_copy: Path) -> None:
    shutil.rmtree(fitted_copy / "features.lance")
    run = load_run(fitted_copy)
    now = review(run)
    now.edit(merge([0, 1], 1))
    merged, other = now.clusters().to_pylist()
    confidence = run.assignments["confidence"].to_numpy()
    members = rows_in(now, 1)
    surest = members[np.argsort(-confidence[members], kind="stable")[:12]]
    assert merged["prototypes"] == [run.assignments["path"][int(i)].as_py() for i in surest]
    assert (merged["nearest"], other["nearest"]) == ([2], [1])


def test_empty_clusters_have_no_figures(now: Review) -> None:
    now.edit(move({0: rows_in(now, 1)}))
    row = now.clusters().to_pylist()[1]
    assert (row["size"], row["mean_confidence"], row["prototypes"]) == (0, None, [])


def test_new_clusters_of_two_people_at_once_get_two_numbers(now: Review) -> None:
    other = review(load_run(now.run.path))
    now.move_to_new(np.array([0]), "mine")
    assert other.move_to_new(np.array([1])).names == {4: (None, "cluster-4")}
    now.split(1, np.array([5, 6, 7]), np.array([0, 1, 2]))
    assert other.split(0, np.array([2, 3]), np.array([0, 1])).names == {7: (None, "cluster-7")}
    now.refresh()
    assert now.labels.tolist() == [3, 4, 0, 7, 0, 1, 5, 6, 1, 1, 1, 1]
    assert snapshot(now) == snapshot(other)


def test_history_is_every_edit_and_whether_it_is_in_force(now: Review) -> None:
    assert now.history == []
    for name in ("x", "y"):
        now.edit(rename(0, name))
    now.undo()
    now.edit(rename(0, "z"))
    now.edit(merge([0, 1], 0))
    now.undo()
    for found in (now.history, review(load_run(now.run.path)).history):
        assert [(edit.get("name"), in_force) for edit, in_force in found] == [
            ("x", True),
            ("y", False),
            ("z", True),
            (None, False),
        ]
        assert all(datetime.fromisoformat(edit["at"]).tzinfo for edit, _ in found)
    assert now.history == review(load_run(now.run.path)).history
    now.redo()
    assert now.history[-1][1]


def test_a_change_knows_all_clusters_it_concerns(now: Review) -> None:
    assert now.edit(rename(2, "x")).clusters(now.labels) == [2]
    assert now.edit(move({1: np.array([0, 5])})).clusters(now.labels) == [0, 1]
    assert now.edit(mark_outliers(np.array([0]), True)).clusters(now.labels) == [1]
    assert now.edit(merge([1, 2], 1)).clusters(now.labels) == [1, 2]  # 2 is empty
    assert now.undo().clusters(now.labels) == [1, 2]
    assert now.edit(mark_done(2, True)).clusters(now.labels) == [2]
    assert [clusters_of(edit) for edit, _ in now.history] == [[2], [1], [], [1, 2], [2]]
    now.split(1, np.array([6, 7]), np.array([0, 1]))
    assert clusters_of(now.history[-1][0]) == [1, 3]


def test_taking_over_is_one_edit_with_new_groups_named_as_there(now: Review) -> None:
    moves: list[tuple[int | str, np.ndarray]] = [
        (1, np.array([0])),
        ("a", np.array([1, 2])),
        ("cluster-1", np.array([5])),
        ("b" * 200, np.array([6])),
    ]
    before = snapshot(now)
    change = now.take_over(moves, "0" * 16)
    assert change.names == {
        3: (None, "a (2)"),
        4: (None, "cluster-4"),  # nobody called it so: the number would be wrong
        5: (None, "b" * 200),
    }
    assert now.labels.tolist() == [1, 3, 3, 0, 0, 4, 5, 1, 1, 1, 1, 1]
    assert not now.by_hand.any()
    assert "taking over 5 images" in str(described(now.undoable))
    assert snapshot(review(now.run)) == snapshot(now)
    now.undo()
    assert snapshot(now) == before
