"""What a user does with a collection that lives: review an hour, then add, delete, rename, move."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from headlight.images import open_source
from headlight.review import Review
from headlight.runs import Run, load_run, relocate_run
from tests.conftest import draw

HEADLIGHT = (sys.executable, "-m", "headlight")


def headlight(*arguments: object, code: int = 0) -> str:
    command = [*HEADLIGHT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def reviewed(fitted: Run, fitted_copy: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run reviewed by command, as in an hour of work, and the folder of its images."""
    photos = Path(shutil.copytree(fitted.info.source.uri, tmp_path / "photos"))
    relocate_run(fitted_copy, open_source(photos))
    for line in (
        ("rename", 0, "Round ones"),
        ("split", 1, "--parts", 2),
        ("rename", 3, "=Part; of 1"),
        ("move", "Odd", "disc/03.png", "stripes/04.png", "--new"),
        ("move", "Round ones", "noise/05.png"),
        ("merge", 2, 1),
        ("outlier", "noise/07.png"),
        ("done", 0),
    ):
        headlight("edit", fitted_copy, *line)
    return fitted_copy, photos


def said(path: Path) -> tuple[Any, ...]:
    """Names and marks of the groups, and the group of each image placed by hand, by content."""
    now = Review(load_run(path))
    keys = [key.tobytes() for key in now.keys]
    by_hand = {k: int(c) for k, c, h in zip(keys, now.labels, now.by_hand, strict=True) if h}
    outliers = {k for k, out in zip(keys, now.outlier, strict=True) if out}
    names = {c: name for c, name in now.names.items() if c not in now.proposed}
    return names, now.done, by_hand, outliers


def test_the_trial(reviewed: tuple[Path, Path], tmp_path: Path) -> None:
    path, photos = reviewed
    before, chance = said(path), random.Random(0)
    assert "Odd" in before[0].values()
    everything = Review(load_run(path)).run.assignments["path"].to_pylist()
    special = {"disc/03.png", "stripes/04.png", "noise/05.png", "noise/07.png"}
    plain = sorted(set(everything) - special)

    for i in range(50):  # add 50
        kind = ("disc", "stripes", "noise")[i % 3]
        draw(kind, 100 + i).save(photos / kind / f"new {i}.png")
    told = json.loads(headlight("update", path, "--json", "--quiet"))
    assert told["changed"]
    assert told["new"] == 50
    counts = [group["images"] for group in (*told["joined"], *told["proposed"])]
    assert sum(counts) == 50
    assert {group["name"] for group in told["joined"]} <= set(before[0].values())
    assert said(path) == before

    for name in chance.sample(plain, 10) + [f"disc/new {3 * i}.png" for i in range(10)]:
        (photos / name).unlink()  # delete 20
    assert json.loads(headlight("update", path, "--json", "--quiet"))["gone"] == 20
    assert said(path) == before

    left = sorted(p for p in photos.rglob("*.png"))
    for i, file in enumerate(chance.sample(left, 30)):  # rename 30
        file.rename(file.with_name(f"renamed {i}.png"))
    told = json.loads(headlight("update", path, "--json", "--quiet"))
    assert (told["new"], told["renamed"], told["gone"]) == (0, 30, 0)
    assert said(path) == before

    moved = photos.rename(tmp_path / "elsewhere")  # move the folder
    assert "headlight relocate" in headlight("update", path, code=1)
    headlight("relocate", path, moved)
    headlight("update", path)
    assert said(path) == before
    assert "nothing new" in headlight("update", path)

    table = tmp_path / "groups.csv"
    headlight("export", path, "--to", "csv", table)
    rows = pyarrow.csv.read_csv(table).to_pylist()
    assert len(rows) == 66
    # A spreadsheet must not take a name for a formula.
    exported = {row["name"].removeprefix("'") for row in rows}
    now = Review(load_run(path))
    used = {now.names[c] for c in np.unique(now.labels).tolist()}
    assert exported == used

    predictions = tmp_path / "predicted.parquet"
    headlight("predict", path, moved, "-o", predictions)
    predicted = {row["path"]: row for row in pq.read_table(predictions).to_pylist()}
    paths = now.run.assignments["path"].to_pylist()
    kept = [i for i in range(len(paths)) if not now.outlier[i]]
    right = [predicted[paths[i]]["cluster"] == now.labels[i] for i in kept]
    assert np.mean(right) >= 0.9
    for i in kept:
        if (cluster := predicted[paths[i]]["cluster"]) is not None:
            assert predicted[paths[i]]["name"] == now.names[cluster]

    before_undo = now.n_edits
    for _ in range(before_undo):
        headlight("edit", path, "undo", "--quiet")
    assert said(path)[1:] == (set(), {}, set())


def test_watch_brings_in_what_changes(reviewed: tuple[Path, Path]) -> None:
    path, photos = reviewed
    before = said(path)
    process = subprocess.Popen(
        [*HEADLIGHT, "watch", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # A shell that runs the tests in the background has them, and all they start, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    killer = threading.Timer(600, process.kill)  # else a failure would wait for ever
    killer.start()
    assert process.stdout
    try:
        assert json.loads(process.stdout.readline())["changed"] is False
        draw("disc", 300).save(photos / "disc" / "late.png")
        assert json.loads(process.stdout.readline())["new"] == 1
        (photos / "disc" / "late.png").unlink()
        (photos / "disc" / "00.png").rename(photos / "first.png")
        told = json.loads(process.stdout.readline())
        assert (told["gone"], told["renamed"]) == (1, 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        killer.cancel()
    assert said(path) == before
