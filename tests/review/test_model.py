"""The model of the groups: it answers as reviewed, and is kept as long as that holds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.images import open_source
from headlight.review import Review, groups_model, predict_run
from headlight.review import prediction as module
from headlight.review.log import assign, mark_outliers, merge, move, rename
from headlight.review.model import FILE, NONE, GroupsModel, References
from headlight.review.splitting import split_rows
from headlight.runs import Run, load_run
from headlight.runs.features import plain_features
from headlight.runs.projected import projected_rows
from tests.conftest import contents


def opened(path: Path) -> Review:
    return Review(load_run(path))


def same(one: GroupsModel, other: GroupsModel) -> bool:
    a, b = one.scp.head_, other.scp.head_
    alike = torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias)
    return alike and one.groups == other.groups


def test_while_no_image_has_moved_the_fits_own_head_answers(fitted_copy: Path) -> None:
    now = opened(fitted_copy)
    now.edit(rename(1, "Shoes"))
    now.edit(mark_outliers(np.array([3]), True))
    shutil.rmtree(fitted_copy / "features.lance")  # it needs none
    before = contents(fitted_copy)
    model = groups_model(opened(fitted_copy))
    assert (model.reviewed, model.groups, model.said()) == (False, [0, 1, 2], "as fitted: 3 groups")
    assert torch.equal(model.scp.head_.weight, now.run.model.head_.weight)
    assert contents(fitted_copy) == before


def reviewed(path: Path) -> Review:
    """Groups merged, split, made by hand, named, and an image marked."""
    now = opened(path)
    now.edit(merge([0, 2], 0))
    members = np.flatnonzero(now.labels == 1)
    now.split(1, members, split_rows(projected_rows(now.run)[members], 2))
    now.edit(move({0: np.flatnonzero(now.labels == 1)[:1]}))
    now.edit(move({9: np.flatnonzero(now.labels == 0)[:5]}, {9: "mine"}))
    now.edit(rename(0, "Shoes"))
    now.edit(mark_outliers(np.array([7]), True))
    return now


def test_after_merge_split_moves_and_names_it_answers_as_reviewed(
    fitted_copy: Path, tmp_path: Path
) -> None:
    now = reviewed(fitted_copy)
    model = groups_model(now)
    assert model.reviewed
    assert model.groups == np.unique(now.labels).tolist() == [0, 1, 3, 9]
    by_hand = int((now.by_hand & ~now.outlier).sum())
    assert by_hand >= 5
    assert (model.by_hand, model.agreement_by_hand) == (by_hand, 1.0)
    assert model.agreement >= 0.94  # of 35 images one or two may be too odd for any group
    assert "4 groups, agrees with" in model.said()
    assert "of the images and 100 % of those placed" in model.said()
    found = predict_run(now.run, now.run.source, tmp_path / "p.parquet", device="cpu")
    assert (found.assigned + found.none, found.unusable) == (36, 0)
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    kept = [i for i in range(36) if not now.outlier[i] and rows[i]["cluster"] is not None]
    assert len(kept) >= 33
    assert [rows[i]["cluster"] for i in kept] == now.labels[kept].tolist()
    assert all(row["second_name"] == now.names[row["second"]] for row in rows)
    assert all(rows[i]["name"] == now.names[rows[i]["cluster"]] for i in kept)
    assert all(rows[i]["second"] != rows[i]["cluster"] and rows[i]["margin"] >= 0 for i in kept)
    assert {"Shoes", "mine"} <= {row["name"] for row in rows}


def test_it_is_learned_once_and_again_when_an_image_moves(
    fitted_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = reviewed(fitted_copy)
    first = groups_model(now)
    kept = (fitted_copy / FILE).read_bytes()
    now.edit(rename(9, "yours"))
    with monkeypatch.context() as patch:
        patch.setattr("headlight.review.learning.learn_groups", None)  # nothing is learned
        again = groups_model(opened(fitted_copy))
    assert same(first, again)
    assert (first.agreement, first.by_hand) == (again.agreement, again.by_hand)
    now.edit(mark_outliers(np.array([8]), True))
    assert not same(groups_model(opened(fitted_copy)), first)
    now.undo()
    groups_model(opened(fitted_copy))
    assert (fitted_copy / FILE).read_bytes() == kept  # the same bits


def test_a_kept_model_that_is_damaged_is_learned_again(fitted_copy: Path) -> None:
    now = reviewed(fitted_copy)
    first, whole = groups_model(now), (fitted_copy / FILE).read_bytes()
    for place in (10, len(whole) // 2, len(whole) - 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (fitted_copy / FILE).write_bytes(damaged)
        assert same(groups_model(opened(fitted_copy)), first)
        assert (fitted_copy / FILE).read_bytes() == whole
    (fitted_copy / FILE).unlink()
    (fitted_copy / FILE).mkdir()  # can't be written: it is only not kept
    assert same(groups_model(opened(fitted_copy)), first)


def test_groups_of_outliers_only_are_not_predicted(fitted_copy: Path) -> None:
    now = opened(fitted_copy)
    now.edit(move({7: np.array([1, 2])}, {7: "odd"}))
    now.edit(mark_outliers(np.array([1, 2]), True))
    assert groups_model(now).groups == [0, 1, 2]
    now.edit(merge([0, 1, 2], 0))
    one = groups_model(now)
    assert (one.groups, one.agreement) == ([0], 1.0)
    assert (one.predict(plain_features(now.run)) == 0).all()
    now.edit(mark_outliers(np.arange(36), True))
    with pytest.raises(HeadlightError, match="all images of .* are marked as outliers"):
        groups_model(now)


def test_one_group_has_no_second(fitted_copy: Path, tmp_path: Path) -> None:
    now = opened(fitted_copy)
    now.edit(merge([0, 1, 2], 1))
    predict_run(now.run, now.run.source, tmp_path / "p.parquet", device="cpu")
    row = pq.read_table(tmp_path / "p.parquet").to_pylist()[0]
    assert (row["cluster"], row["confidence"], row["margin"]) == (1, 1.0, 1.0)
    assert row["second"] is row["second_name"] is None


def test_gone_features_are_said_unless_the_model_was_kept(fitted_copy: Path) -> None:
    now = reviewed(fitted_copy)
    first = groups_model(now)
    shutil.rmtree(fitted_copy / "features.lance")
    assert same(groups_model(opened(fitted_copy)), first)
    now.edit(mark_outliers(np.array([8]), True))
    with pytest.raises(HeadlightError, match="features"):
        groups_model(opened(fitted_copy))


def test_an_image_of_no_group_has_only_the_nearest(
    fitted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, labels = projected_rows(fitted).astype(np.float32), Review(fitted).labels
    for points, bound, belongs in (
        (rows[labels == 1], 0.999, labels == 1),
        (rows[:1], 1.01, np.zeros(36, bool)),
        (rows[:1], -1.1, np.ones(36, bool)),
    ):
        near = References(points, np.full(len(points), bound, np.float32))
        own = groups_model(Review(fitted))
        model = GroupsModel(own.scp, own.groups, False, 1.0, 1.0, 0, near)
        expected = np.where(belongs, labels, NONE)
        assert model.predict(plain_features(fitted)).tolist() == expected.tolist()
        monkeypatch.setattr(module, "groups_model", lambda _, model=model: model)
        found = predict_run(fitted, fitted.source, tmp_path / "p.parquet", device="cpu")
        assert (found.assigned, found.none) == (belongs.sum(), (~belongs).sum())
        table = pq.read_table(tmp_path / "p.parquet")
        for row, in_one, group in zip(table.to_pylist(), belongs, labels.tolist(), strict=True):
            if in_one:
                assert row["name"] == f"cluster-{group}"
            else:
                assert (row["second"], row["second_name"]) == (group, f"cluster-{group}")
                others = {"cluster", "name", "confidence", "margin", "error"}
                assert all(row[name] is None for name in others)


def test_references_are_kept_with_the_model(fitted_copy: Path) -> None:
    from headlight.review.model import _keep, _kept

    now = reviewed(fitted_copy)
    first = groups_model(now)
    near = References(np.eye(2, 5, dtype=np.float32), np.array([0.1, 0.2], np.float32))
    whole = GroupsModel(first.scp, first.groups, True, 0.5, 0.25, 4, near)
    _keep(fitted_copy / FILE, "mine", whole)
    found = _kept(fitted_copy / FILE, "mine")
    assert found is not None and found.references is not None
    assert same(found, whole)
    np.testing.assert_array_equal(found.references.points, near.points)
    np.testing.assert_array_equal(found.references.least, near.least)
    assert (found.agreement, found.agreement_by_hand, found.by_hand) == (0.5, 0.25, 4)


rows = st.lists(st.integers(0, 35), min_size=1, max_size=9, unique=True).map(np.array)
kinds = st.one_of(
    st.builds(lambda r, c: move({c: r}), rows, st.integers(0, 2)),
    st.builds(lambda r, c: assign({c: r}), rows, st.integers(0, 2)),
    st.builds(lambda r, c: move({c: r}, {c: f"new {c}"}), rows, st.integers(3, 9)),
    st.builds(lambda a, b: merge([a, b], a), st.integers(0, 2), st.integers(0, 2)),
    st.builds(mark_outliers, rows, st.booleans()),
    st.just({"edit": "undo"}),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(kinds, min_size=1, max_size=6))
def test_whatever_is_edited_the_model_knows_the_groups(fitted: Run, edits: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(fitted.path, Path(folder) / "run"))
        now = opened(path)
        for edit in edits:
            try:
                now.edit(edit)
            except HeadlightError:  # impossible after the others
                continue
        kept = ~now.outlier
        if not kept.any():
            return
        model = groups_model(now)
        predicted = model.predict(plain_features(now.run))
        moved = (now.labels != now.run.assignments["cluster"].to_numpy()).any()
        assert model.reviewed or not moved
        assert set(predicted.tolist()) <= {NONE, *model.groups}
        assert set(model.groups) <= set(now.names)
        if model.reviewed:
            assert model.groups == np.unique(now.labels[kept]).tolist()
        right = predicted == now.labels
        assert model.agreement == pytest.approx(right[kept].mean(), abs=0.03)
        # 36 distinct images can always be told apart; one or two may be too odd for any group.
        assert right[kept].mean() >= 0.9
        assert right[kept & now.by_hand].all()
        assert same(groups_model(opened(path)), model)


def test_a_review_of_real_images_is_agreed_with(digits_run: Run, tmp_path: Path) -> None:
    path = Path(shutil.copytree(digits_run.path, tmp_path / "digits.headlight"))
    now = opened(path)
    truth = np.array(list(map(int, _labels(now.run))))
    rng = np.random.default_rng(0)
    largest = int(np.bincount(now.labels).argmax())
    members = np.flatnonzero(now.labels == largest)
    now.split(largest, members, split_rows(projected_rows(now.run)[members], 2))
    now.edit(merge([3, 4], 3))
    # A hundred images into the group that most of their kind are in, and a new one of eight.
    home = {t: int(np.bincount(now.labels[truth == t]).argmax()) for t in range(10)}
    wrong = np.flatnonzero([home[t] != g for t, g in zip(truth, now.labels, strict=True)])
    chosen = rng.permutation(wrong)[:100]
    goal = np.array([home[t] for t in truth[chosen]])
    now.edit(move({int(g): chosen[goal == g] for g in np.unique(goal)}))
    now.move_to_new(np.flatnonzero(truth == 5)[:8], "fives")
    now.edit(mark_outliers(rng.choice(len(truth), 12, replace=False), True))
    model = groups_model(now)
    kept = ~now.outlier
    right = model.predict(plain_features(now.run)) == now.labels
    assert right[kept].mean() >= 0.95
    assert right[kept & now.by_hand].mean() >= 0.98
    folded = now.run.model.predict(plain_features(now.run)) == now.labels
    assert folded[kept].mean() < right[kept].mean()


def _labels(run: Run) -> list[str]:
    known = open_source("digits").labels()
    assert known is not None
    return [known[path] for path in run.assignments["path"].to_pylist()]
