"""How long a reviewed run of many images takes to bring up to date, to replay, and to learn.

    python -m benchmarks.updating [--images 60000] [--source cifar10-parquet] [--out folder]

Images are the JPEGs of a Parquet file, written as files into a temporary folder; a tenth of a
percent of them are kept aside and added later. Edits are of all kinds, with random images. Every
time is that of a whole command in a process of its own, as a user would run it; that of embedding
alone is measured beside it, in turn.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import machine

ADDED = 100


def main() -> None:
    """Write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parquet", nargs="+", type=Path, help="files with an image column")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--replayed", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True, help="for images and runs")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    images, aside = written(given.parquet, given.folder, given.images)
    run = given.folder / "run.headlight"
    if not run.exists():
        headlight("cluster", images, "-k", given.clusters, "-o", run, "--views", 0, "--quiet")
    found: dict[str, object] = {"images": given.images, "machine": machine()}
    edit(run, given.edits)
    found["nothing_new"] = [headlight("update", run) for _ in range(given.repeats)]
    found["replay"] = replay(run, given.folder, given.replayed)
    found["model"] = learn(run)
    updates, embeddings = [], []
    for repeat in range(given.repeats):
        for name in ("updated", "embedded"):
            copy = given.folder / f"{name}.headlight"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(run, copy)
        for file in aside[repeat * ADDED : (repeat + 1) * ADDED]:
            shutil.copy(file, images / f"new-{file.name}")
        embeddings.append(
            headlight("embed", images, "-o", given.folder / "embedded.headlight", "--views", 0)
        )
        updates.append(headlight("update", given.folder / "updated.headlight"))
        for file in images.glob("new-*"):
            file.unlink()
    found |= {"update_100_new": updates, "embed_100_new": embeddings}
    print(json.dumps(found, indent=2))


def written(files: list[Path], folder: Path, count: int) -> tuple[Path, list[Path]]:
    """The folder of images, and those kept aside."""
    images, aside = folder / "images", folder / "aside"
    if not images.exists():
        images.mkdir()
        aside.mkdir()
        number = 0
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(1000, columns=["image"]):
                for image in batch["image"].to_pylist():
                    data = image["bytes"] if isinstance(image, dict) else image
                    place = images if number < count else aside
                    if number >= count + 10 * ADDED:
                        break
                    (place / f"{number:06}.jpg").write_bytes(data)
                    number += 1
    return images, sorted(aside.iterdir())


def headlight(*arguments: object) -> float:
    """Seconds of one command."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "headlight", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return round(time.perf_counter() - started, 2)


def edit(run: Path, count: int) -> None:
    """Make random edits until there are so many."""
    from headlight.review import Review, log
    from headlight.runs import load_run

    now, rng = Review(load_run(run)), np.random.default_rng(0)
    n = len(now.labels)
    while now.n_edits < count:
        clusters = sorted(now.names)
        one, two = rng.choice(clusters, 2, replace=False).tolist()
        kind = rng.integers(10)
        rows = rng.choice(n, int(rng.integers(1, 40)), replace=False)
        if kind < 4:
            if (others := rows[now.labels[rows] != one]).size:
                now.edit(log.move({one: others}))
        elif kind < 6:
            now.edit(log.rename(one, f"name {now.version}"))
        elif kind < 8:
            value = bool(rng.integers(2))
            if (differ := rows[now.outlier[rows] != value]).size:
                now.edit(log.mark_outliers(differ, value))
        elif kind == 8 and len(clusters) < 120:
            members = np.flatnonzero(now.labels == one)
            if len(members) >= 4:
                now.split(one, members, np.arange(len(members)) % 2)
        elif len(clusters) > 80:
            now.edit(log.merge([one, two], one))


def replay(run: Path, folder: Path, count: int) -> dict[str, float]:
    """Seconds to open a run with so many edits, and one with none, in this process."""
    from headlight.review import Review
    from headlight.review.log import FILE
    from headlight.runs import load_run

    copy = folder / "replayed.headlight"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.sqlite"))
    edit(copy, count)
    found: dict[str, float] = {"lines": len((copy / FILE).read_bytes().splitlines())}
    for name in ("with_edits", "without"):
        started = time.perf_counter()
        Review(load_run(copy))
        found[name] = round(time.perf_counter() - started, 2)
        (copy / FILE).unlink(missing_ok=True)
        (copy / ".edits.check").unlink(missing_ok=True)
    shutil.rmtree(copy)
    return found


def learn(run: Path) -> dict[str, float]:
    """Seconds to learn the model of the groups."""
    from headlight.review import Review
    from headlight.review.model import groups_model
    from headlight.runs import load_run

    (run / "groups.safetensors").unlink(missing_ok=True)
    now = Review(load_run(run))
    started = time.perf_counter()
    model = groups_model(now)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "groups": len(model.groups),
        "agreement": round(model.agreement, 4),
        "agreement_by_hand": round(model.agreement_by_hand, 4),
    }


if __name__ == "__main__":
    main()
