"""Updating a run: groups stay, images are themselves wherever they lie, the new ones flow in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headlight import cluster, update
from headlight.errors import HeadlightError
from headlight.images import open_source
from headlight.review import Review, fit_again
from headlight.review.log import FILE, mark_done, mark_outliers, merge, move, rename
from headlight.runs import Run, load_run, relocate_run, restore_fit
from tests.conftest import contents, draw


@pytest.fixture
def living(fitted: Run, fitted_copy: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run with edits of every kind, and the folder of its images."""
    photos = Path(shutil.copytree(fitted.info.source.uri, tmp_path / "photos"))
    relocate_run(fitted_copy, open_source(photos))
    now = Review(load_run(fitted_copy))
    now.edit(rename(0, "Shoes"))
    members = np.flatnonzero(now.labels == 1)
    now.split(1, members, np.arange(len(members)) % 2)
    now.edit(rename(3, "Left"))
    now.edit(move({0: np.array([0, 13])}))
    now.move_to_new(np.array([5, 30]), "Odd ones")
    now.edit(merge([2, 3], 2))
    now.undo()
    now.edit(mark_outliers(np.array([7]), True))
    now.edit(mark_done(0, True))
    return fitted_copy, photos


def said(path: Path) -> tuple[Any, ...]:
    """What people said of groups and images, by content."""
    now = Review(load_run(path))
    keys = [key.tobytes() for key in now.keys]
    return (
        {c: name for c, name in now.names.items() if c not in now.proposed},
        now.done,
        {k: int(c) for k, c, hand in zip(keys, now.labels, now.by_hand, strict=True) if hand},
        {k for k, out in zip(keys, now.outlier, strict=True) if out},
        now.n_edits,
    )


def groups(path: Path) -> dict[str, int]:
    now = Review(load_run(path))
    return dict(zip(now.run.assignments["path"].to_pylist(), now.labels.tolist(), strict=True))


def test_nothing_new_changes_no_file(living: tuple[Path, Path]) -> None:
    path, _ = living
    before = contents(path)
    run, report = update(path)
    assert not report.changed
    assert report.embedded.kept == len(run.assignments)
    assert contents(path) == before


def test_a_folder_of_new_images_is_no_second_source(living: tuple[Path, Path]) -> None:
    path, photos = living
    before = contents(path)
    with pytest.raises(HeadlightError, match=r"put new images there.*headlight relocate"):
        update(path, photos / "disc")
    assert contents(path) == before


def test_new_gone_renamed_and_moved_images_leave_the_groups_as_they_were(
    living: tuple[Path, Path],
) -> None:
    path, photos = living
    before, where = said(path), groups(path)
    for i in range(40, 45):
        draw("disc", i).save(photos / "disc" / f"{i}.png")
    _, report = update(path)
    assert said(path) == before
    assert sum(report.joined.values()) + sum(report.proposed.values()) == 5
    assert where.items() <= groups(path).items()
    for i in range(45, 47):
        draw("disc", i).save(photos / "disc" / f"{i}.png")
    _, report = update(path)
    assert sum(report.joined.values()) + sum(report.proposed.values()) == 2
    assert said(path) == before
    assert load_run(path).assignments["joined"].null_count == 36
    assert Review(load_run(path)).unseen.sum() == 7

    kept = Review(load_run(path))
    loose = np.flatnonzero(~kept.by_hand & ~kept.outlier)
    gone = [kept.run.assignments["path"][int(i)].as_py() for i in loose[:4]]
    parked = {name: (photos / name).read_bytes() for name in gone}
    for name in gone:
        (photos / name).unlink()
    _, report = update(path)
    assert (report.gone, said(path)) == (4, before)
    assert len(load_run(path).assignments) == 39

    for i, name in enumerate(sorted(groups(path))[:10]):
        (photos / name).rename(photos / f"renamed {i}.png")
    _, report = update(path)
    assert (report.embedded.found, report.embedded.added, report.joined) == (10, 0, {})
    assert said(path) == before

    elsewhere = photos.rename(photos.with_name("elsewhere"))
    with pytest.raises(HeadlightError, match="headlight relocate"):
        update(path)
    relocate_run(path, open_source(elsewhere))
    _, report = update(path)
    assert said(path) == before

    for name, data in parked.items():  # back, under other names
        (elsewhere / f"back {Path(name).name} {name[0]}.png").write_bytes(data)
    _, report = update(path)
    assert (report.returned, report.gone, report.joined) == (4, 0, {})
    assert said(path) == before
    now = groups(path)
    for name in gone:
        assert now[f"back {Path(name).name} {name[0]}.png"] == where[name]


def test_edits_of_gone_images_come_back_with_them(living: tuple[Path, Path]) -> None:
    path, photos = living
    before, where = said(path), groups(path)
    now = Review(load_run(path))
    hand = np.flatnonzero(now.by_hand | now.outlier)
    names = [now.run.assignments["path"][int(i)].as_py() for i in hand]
    parked = {name: (photos / name).read_bytes() for name in names}
    for name in names:
        (photos / name).unlink()
    update(path)
    assert said(path)[2:4] == ({}, set())
    for name, data in parked.items():
        (photos / name).write_bytes(data)
    _, report = update(path)
    assert report.returned == len(names)
    assert (said(path), groups(path)) == (before, where)


def test_edits_before_an_update_can_be_undone_after_it(living: tuple[Path, Path]) -> None:
    path, photos = living
    draw("disc", 50).save(photos / "disc" / "50.png")
    update(path)
    now = Review(load_run(path))
    count = now.n_edits
    for _ in range(count):
        now.undo()
    fitted = now.run.assignments["cluster"].to_numpy()
    assert now.labels.tolist() == fitted.tolist()
    for _ in range(count):
        now.redo()
    assert Review(load_run(path)).labels.tolist() == now.labels.tolist()


def test_copies_are_one_image(living: tuple[Path, Path]) -> None:
    path, photos = living
    now = Review(load_run(path))
    placed = now.run.assignments["path"][0].as_py()
    shutil.copy(photos / placed, photos / "a copy.png")
    _, report = update(path)
    assert (report.embedded.copied, report.joined) == (1, {})
    now = Review(load_run(path))
    assert now.by_hand.sum() == 5
    row = now.run.assignments["path"].to_pylist().index("a copy.png")
    assert now.labels[row] == 0
    now.edit(move({2: np.array([row])}))
    both = [i for i, key in enumerate(now.keys) if (key == now.keys[row]).all()]
    assert len(both) == 2
    assert (now.labels[both] == 2).all()
    column = now.run.assignments["duplicates"].to_pylist()
    assert column[both[0]] == column[both[1]] is not None


def test_cluster_on_an_edited_run_updates_it(living: tuple[Path, Path]) -> None:
    path, photos = living
    before = said(path)
    draw("noise", 60).save(photos / "noise" / "60.png")
    run = cluster(photos, 3, out=path, views=1, device="cpu")
    assert said(path) == before
    assert len(run.assignments) == 37
    with pytest.raises(HeadlightError, match="headlight update .* brings new images"):
        cluster(photos, 4, out=path, views=1, device="cpu")
    fresh = fit_again(load_run(path), 3, device="cpu", fresh=True)
    assert Review(fresh).n_edits == 0
    assert "set aside" in Review(fresh).note
    restore_fit(fresh, run.fit.id)
    assert said(path) == before


def test_a_new_fit_of_an_edited_run_is_kept_beside_it_and_takes_the_edits(
    living: tuple[Path, Path],
) -> None:
    path, _ = living
    before = said(path)
    current = load_run(path)
    other = fit_again(current, 4, device="cpu")
    assert load_run(path).fit.id == current.fit.id != other.fit.id
    assert said(path) == before
    restore_fit(load_run(path), other.fit.id)
    assert said(path)[2:] == before[2:]
    now, was = Review(load_run(path)), before[0]
    assert {c for c, name in now.names.items() if name in ("Shoes", "Odd ones")} <= was.keys()
    taken = set(now.run.assignments["cluster"].to_pylist()) - was.keys()
    assert all(c >= max(was) for c in taken)  # no number means two groups
    restore_fit(load_run(path), current.fit.id)
    assert said(path) == before


def test_a_log_that_names_rows_is_taken_over(living: tuple[Path, Path]) -> None:
    path, photos = living
    now = Review(load_run(path))
    for file in (path / FILE, path / ".edits.check"):
        file.unlink()
    lines = [
        '{"fit": "%s", "at": "x", "edit": "move", "to": {"0": "0,13-14"}, "new": {}}',
        '{"fit": "%s", "at": "x", "edit": "outlier", "rows": "3-4", "value": true}',
        '{"fit": "%s", "at": "x", "edit": "split", "cluster": 1, "to": {"3": "15"},'
        ' "new": {"3": "Part"}}',
    ]
    text = "".join(line % now.run.fit.id + "\n" for line in lines)
    (path / FILE).write_text(text)
    before = said(path)
    assert len(before[2]) == 3
    assert len(before[3]) == 2
    assert (path / FILE).read_text() == text  # reading writes nothing
    for i, name in enumerate(sorted(groups(path))[:16]):
        (photos / name).rename(photos / f"renamed {i}.png")
    update(path)
    assert said(path) == before
    assert (path / "edits.rows.jsonl").read_text() == text
    assert '"images"' in (path / FILE).read_text()
    for i, name in enumerate(sorted(groups(path))[:16]):
        (photos / name).rename(photos / f"again {i}.png")
    update(path)
    assert said(path) == before
