"""A sample of what `benchmarks.faults.run_folders` does at length."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import run_folders


def test_damaged_run_folders_are_refused_or_read_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(run_folders.ACTIONS, "predict")  # takes a second
    run = run_folders.make(tmp_path)
    whole = run_folders.act(run, tmp_path / "out")
    assert {said.partition(" ")[0] for said in whole.values()} == {"result"}
    verdicts = set()
    for number in range(24):
        folder = Path(shutil.copytree(run, tmp_path / f"{number}.headlight"))
        what, by_hand = run_folders.mutate(folder, np.random.default_rng([1, number]))
        found = run_folders.act(folder, tmp_path / "out")
        for action, verdict in run_folders.judge(found, whole, by_hand).items():
            assert verdict[0] in ("same", "refused", "by hand"), (what, action, verdict)
            verdicts.add(verdict[0])
    assert {"same", "refused"} <= verdicts
