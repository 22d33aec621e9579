"""Fits of a run beside each other: saving, restoring, and what a run may not do to its reader."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from headlight.errors import HeadlightError
from headlight.export.onnx_encoder import Unexportable, encoder_of
from headlight.review import fit_again, predict_run
from headlight.review.fitting import edits_in_words
from headlight.review.log import EditLog, mark_done, merge, move, rename
from headlight.review.review import review
from headlight.runs import Run, fit_run, load_run, restore_fit
from headlight.runs.files import FITS
from headlight.runs.fits import save_fit
from headlight.runs.run import FIT_FILES
from tests.conftest import contents, rewrite_info


def edited(path: Path) -> Run:
    run = load_run(path)
    now = review(run)
    now.edit(rename(0, "discs"))
    now.edit(rename(1, "stripes"))
    now.edit(move({1: np.array([0, 3])}))
    now.edit(merge([1, 2], 1))
    now.edit(mark_done(0, True))
    return run


def state(run: Run) -> tuple[object, ...]:
    now = review(run)
    return now.names, now.labels.tolist(), now.done, now.clusters().to_pylist()


@contextmanager
def failing_at(step: int) -> Iterator[list[int]]:
    """The move of a file to its place that is number ``step`` fails, as on a full disk."""
    moves: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "rename"):
            original = getattr(Path, name)

            def attempt(self: Path, target: Path, original: object = original) -> Path:
                moves.append(len(moves))
                if moves[-1] == step:
                    raise OSError(28, "No space left on device")
                return original(self, target)  # type: ignore[operator]

            patch.setattr(Path, name, attempt)
        yield moves


def test_a_fit_whose_saving_fails_anywhere_leaves_a_readable_one(
    fitted_copy: Path, tmp_path: Path
) -> None:
    former = load_run(fitted_copy)
    tables = {former.fit.id: former.assignments}
    saved: list[tuple[tuple, dict]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "headlight.runs.fitting.save_fit", lambda *args, **more: saved.append((args, more))
        )
        fit_run(former, 2, device="cpu")
    ((_, *parts), more) = saved[0]

    def save(path: Path) -> Run:
        save_fit(load_run(path), *parts, **more)
        return load_run(path)

    whole = save(shutil.copytree(fitted_copy, tmp_path / "whole"))
    tables[whole.fit.id] = whole.assignments
    current, step = [], 0
    while True:
        path = Path(shutil.copytree(fitted_copy, tmp_path / str(step)))
        try:
            with failing_at(step) as moves:
                save(path)
        except OSError:
            pass
        run = load_run(path)
        current.append(run.fit.id)
        assert run.assignments.equals(tables[current[-1]])
        assert len(run.clusters) == run.model.n_clusters_ == run.fit.n_clusters
        if len(moves) <= step:
            break
        step += 1
    assert step >= 8
    first_new = current.index(whole.fit.id)
    assert 0 < first_new < step  # failures on both sides of the change
    assert set(current[:first_new]) == {former.fit.id}
    assert set(current[first_new:]) == {whole.fit.id}


def test_leftovers_of_a_kill_are_deleted_by_the_next_fit(fitted_copy: Path) -> None:
    (fitted_copy / FITS / ".new-killed").mkdir()
    (fitted_copy / ".run.json.abcd1234").write_text("half")
    (fitted_copy / ".mine").write_text("precious")
    fit_run(load_run(fitted_copy), 3, device="cpu")
    hidden = {p.name for p in fitted_copy.rglob(".*") if "lock" not in p.name}
    assert hidden == {".mine"}


def test_edits_set_aside_and_restored_are_as_they_were(fitted_copy: Path) -> None:
    run = edited(fitted_copy)
    before, first = state(run), run.fit.id
    second = fit_again(run, 3, device="cpu", fresh=True)
    assert second.assignments["cluster"].equals(run.assignments["cluster"])
    assert second.fit.former == first
    assert review(second).n_edits == 0
    # The same command again, now without edits to set aside, must not return to the first fit.
    again = fit_again(second, 3, device="cpu", fresh=True)
    assert again.fit.id == second.fit.id != first
    assert review(again).n_edits == 0

    restored = restore_fit(again, first)
    assert state(restored) == before
    assert restored.fit == run.fit
    for name in FIT_FILES:
        assert (fitted_copy / name).read_bytes() == (fitted_copy / FITS / first / name).read_bytes()
    third = fit_again(restored, 3, device="cpu", fresh=True)
    assert third.fit.id not in {first, second.fit.id}


def test_restoring_what_is_not_there_or_damaged_changes_nothing(fitted_copy: Path) -> None:
    first = load_run(fitted_copy)
    run = fit_run(first, 2, device="cpu")
    (fitted_copy / FITS / first.fit.id / "clusters.parquet").write_bytes(b"PAR1garbage")
    before = contents(fitted_copy)
    for fit in ("none", "../fits", ""):
        with pytest.raises(HeadlightError, match=f"has no fit .*{first.fit.id}"):
            restore_fit(run, fit)
    with pytest.raises(HeadlightError, match=r"clusters.parquet is damaged"):
        restore_fit(run, first.fit.id)
    assert contents(fitted_copy) == before


def test_copies_at_the_top_may_be_overwritten(fitted_copy: Path) -> None:
    run = edited(fitted_copy)
    before = state(run)
    for name in FIT_FILES:
        (fitted_copy / name).write_bytes(b"my own table")
    assert state(load_run(fitted_copy)) == before
    assert load_run(fitted_copy).model.n_clusters_ == 3


def test_a_changed_byte_in_a_table_is_damage(fitted_copy: Path) -> None:
    whole = load_run(fitted_copy).assignments
    inside, copied = sorted(fitted_copy.rglob("assignments.parquet"), key=lambda f: -len(f.parts))
    for file in (inside, copied):
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 1
        file.write_bytes(data)
        if file == inside:  # the copy at the top stands in
            assert load_run(fitted_copy).assignments.equals(whole)
    with pytest.raises(HeadlightError, match="damaged"):
        load_run(fitted_copy).assignments  # noqa: B018


def never(stage: str) -> None:
    raise AssertionError(f"{stage} began")


def test_edits_taken_back_do_not_count(fitted_copy: Path) -> None:
    now = review(load_run(fitted_copy))
    now.edit(rename(0, "a"))
    now.edit(rename(1, "b"))
    now.undo()
    assert edits_in_words(now.run) == "1 name"
    now.redo()
    assert edits_in_words(now.run) == "2 names"
    now.undo()
    now.undo()
    assert edits_in_words(now.run) == ""


def test_a_run_with_damaged_tables_can_be_fitted_and_a_damaged_log_is_no_way_round(
    fitted_copy: Path,
) -> None:
    run = load_run(fitted_copy)
    for file in fitted_copy.rglob("assignments.parquet"):
        file.write_bytes(b"PAR1garbage")
    whole = fit_again(run, 3, device="cpu")
    EditLog(fitted_copy, "x").path.write_text("not JSON\n")
    with pytest.raises(HeadlightError, match="line 1 of"):
        fit_again(whole, 3, device="cpu")
    assert len(fit_again(whole, 3, device="cpu", fresh=True).assignments) == len(whole.assignments)


@pytest.mark.parametrize("spec", ["torch:trap:network", "lite0+torch:trap:network"])
def test_code_that_a_run_names_is_not_imported(
    fitted_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "trap.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    rewrite_info(fitted_copy, lambda info: info["encoder"].update(name=spec))
    run, out = load_run(fitted_copy), tmp_path / "p.csv"
    for given in (None, "lite0", "torch:other:network"):
        with pytest.raises(HeadlightError, match="imports code: add --encoder"):
            predict_run(run, run.source, out, "cpu", encoder=given)
    with pytest.raises(Unexportable, match="imports code"):
        encoder_of(run)
    assert not ran.exists()
    try:
        with pytest.raises(HeadlightError):  # the module has no such function, but was imported
            predict_run(run, run.source, out, "cpu", encoder=spec)
        assert ran.exists()
    finally:
        sys.modules.pop("trap", None)
