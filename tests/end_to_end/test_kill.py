"""A kill at any moment loses at most the batch in flight, and changes nothing in the result."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from headlight.features import FeatureStore
from headlight.runs import fit_run, load_run

EMBED = [sys.executable, "-m", "headlight", "embed", "digits", "--views", "0", "--device", "cpu"]


def rows(run: Path) -> int:
    path = run / "features.lance"
    return len(FeatureStore.open(path)) if path.exists() else 0


def test_embedding_killed_ten_times_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    chance = random.Random(0)
    killed = tmp_path / "killed.headlight"
    kept: list[int] = []
    for attempt in range(10):
        process = subprocess.Popen([*EMBED, "-o", killed], stderr=subprocess.DEVNULL)
        if attempt % 2:  # anywhere: while starting, opening the store, comparing, writing
            time.sleep(chance.uniform(0, 6))
        else:  # soon after work was seen to go on
            before, deadline = rows(killed), time.monotonic() + 60
            while rows(killed) <= before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait()
        kept.append(rows(killed))
    assert kept == sorted(kept)  # nothing committed was ever lost
    assert 0 < kept[0] < 1797  # and the kills did hit it in the middle

    for name in ("killed", "whole"):
        subprocess.run([*EMBED, "-o", tmp_path / f"{name}.headlight"], check=True, timeout=600)
    one, other = (
        fit_run(load_run(tmp_path / f"{name}.headlight"), 10, device="cpu")
        for name in ("killed", "whole")
    )
    assert len(one.assignments) == 1797
    assert one.assignments.equals(other.assignments)
    assert one.clusters.equals(other.clusters)
    model = "model.safetensors"
    assert (one.path / model).read_bytes() == (other.path / model).read_bytes()
