"""A kill at any moment loses at most the batch in flight, and changes nothing in the result."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from headlight.features import FeatureStore
from headlight.images import open_source
from headlight.runs import embed_run, fit_run, load_run

# Kills itself at the moment of Python's n-th audit event (an import, a file opened, …).
EMBED = """
import os, signal, sys
left = int(sys.argv.pop(1))
def count(*event):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
if left:
    sys.addaudithook(count)
from headlight.cli import main
main()
"""
ENCODER = "lite0@64"
EVENTS = 98_000  # of an uninterrupted run, counted


def rows(run: Path) -> int:
    path = run / "features.lance"
    return len(FeatureStore.open(path)) if path.exists() else 0


def test_embedding_killed_eight_times_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    chance = random.Random(0)
    killed, whole = tmp_path / "killed.headlight", tmp_path / "whole.headlight"
    options = ["--encoder", ENCODER, "--views", "0", "--device", "cpu", "-o", str(killed)]

    def start(events: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", EMBED, str(events), "embed", "digits", *options]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    kept: list[int] = []
    for attempt in range(8):
        if attempt % 2:  # while starting, opening the store, comparing
            process = start(chance.randrange(1, EVENTS))
        else:  # as soon as another batch is there
            before, process = rows(killed), start(0)
            while rows(killed) <= before and process.poll() is None:
                time.sleep(0.01)
            process.kill()
        process.wait(120)
        kept.append(rows(killed))
    assert kept == sorted(kept)  # nothing committed was ever lost
    assert 0 < kept[0] < 1797  # and the kills did hit it in the middle

    assert start(0).wait(300) == 0
    embed_run(open_source("digits"), whole, encoder=ENCODER, views=0, device="cpu")
    one, other = (fit_run(load_run(path), 10, device="cpu") for path in (killed, whole))
    assert len(one.assignments) == 1797
    assert one.assignments.equals(other.assignments)
    assert one.clusters.equals(other.clusters)
    model = "model.safetensors"
    assert (one.path / model).read_bytes() == (other.path / model).read_bytes()
