"""Killed at any moment, a reviewed run opens, and no edit that was acknowledged is missing."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headlight.images import open_source
from headlight.review import Review
from headlight.review.log import mark_outliers, move, rename
from headlight.runs import Run, load_run, relocate_run
from tests.conftest import draw

# Kills itself at the moment of Python's n-th audit event (an import, a file opened, …) after those
# of the imports, or counts them.
COMMAND = """
import os, signal, sys
left = int(sys.argv.pop(1))
import headlight.cli.commands, headlight.pipeline, headlight.explore, headlight.runs.fits, torch
count = 0
def event(*_):
    global count
    count += 1
    if count == left:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(event)
import atexit
atexit.register(lambda: print("events", count, flush=True))
from headlight.cli import main
main()
"""
KILLS = 3  # of each command


@pytest.fixture
def living(fitted: Run, fitted_copy: Path, tmp_path: Path) -> tuple[Path, Path]:
    photos = Path(shutil.copytree(fitted.info.source.uri, tmp_path / "photos"))
    relocate_run(fitted_copy, open_source(photos))
    now = Review(load_run(fitted_copy))
    now.edit(rename(0, "Shoes"))
    now.move_to_new(np.array([5, 30]), "Odd ones")
    now.edit(move({0: np.array([13])}))
    now.edit(mark_outliers(np.array([7]), True))
    for i in range(70, 74):
        draw("disc", i).save(photos / "disc" / f"{i}.png")
    (photos / "noise" / "01.png").unlink()
    (photos / "noise" / "02.png").rename(photos / "noise" / "renamed.png")
    return fitted_copy, photos


def run(events: int, *arguments: object) -> tuple[int, int]:
    command = [sys.executable, "-c", COMMAND, str(events), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    counted = [line for line in done.stdout.splitlines() if line.startswith("events ")]
    return done.returncode, int(counted[-1].split()[1]) if counted else 0


def acknowledged(path: Path) -> tuple[dict[str, set[bytes]], set[str], int]:
    """Images placed by hand in each named group, those names, and how many edits there are."""
    now = Review(load_run(path))
    keys = np.array([key.tobytes() for key in now.keys])
    hand = {
        name: set(keys[now.by_hand & (now.labels == c)].tolist())
        for c, name in now.names.items()
        if not name.startswith(("cluster-", "new-"))
    }
    return hand, {keys[i] for i in np.flatnonzero(now.outlier)}, now.n_edits


@pytest.mark.parametrize("command", ["update", "fit", "edit"])
def test_a_kill_at_any_moment_loses_no_edit(living: tuple[Path, Path], command: str) -> None:
    path, _ = living
    whole = path.with_name("whole.headlight")
    shutil.copytree(path, whole)
    arguments = {
        "update": ["update", "RUN", "--quiet"],
        "fit": ["fit", "RUN", "-k", "4", "--device", "cpu", "--quiet"],
        "edit": ["edit", "RUN", "rename", "1", "Stripes"],
    }[command]
    if command == "fit":
        assert run(0, "update", whole, "--quiet")[0] == 0
        shutil.rmtree(path)
        shutil.copytree(whole, path)
    before = acknowledged(path)
    with_run = [whole if word == "RUN" else word for word in arguments]
    code, events = run(0, *with_run)
    assert code == 0
    after = acknowledged(whole)

    chance = random.Random(command)
    killed = 0
    for _ in range(KILLS):
        code, _ = run(
            chance.randrange(events // 20, events // 2),
            *(path if word == "RUN" else word for word in arguments),
        )
        killed += code == -9
        assert acknowledged(path) in (before, after)
    assert killed
    run(0, *(path if word == "RUN" else word for word in arguments))
    assert acknowledged(path) == after
    one, other = (Review(load_run(place)) for place in (path, whole))
    assert one.labels.tolist() == other.labels.tolist()
    assert one.run.assignments["path"].equals(other.run.assignments["path"])
