"""How long the map and the report of a large run take, and how much memory.

    python -m benchmarks.explore.report IMAGES.parquet FEATURES.npy [--out RUN]

Makes a run of the images and their features (float16, (n, dim) or (n, views, dim), rows as in the
Parquet file), clustered by k-means into 10; then measures, each in a process of its own: the map
(`headlight.runs.map.image_map`), the report, and the time until the report's map stands in a real
browser. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from headlight.runs.files import digest
from headlight.runs.info import EncoderInfo, FitInfo, RunInfo, SourceInfo, write_record

TABLES = ("assignments", "clusters")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run"


def main() -> None:
    """Makes the run, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("report-benchmark.headlight"))
    parser.add_argument("--step", choices=["make", "map", "report"])
    given = parser.parse_args()
    if given.step:
        steps = {"make": make, "map": lay_out, "report": write}
        print(json.dumps(steps[given.step](given)))
        return
    figures = {step: _alone(step) for step in ("make", "map", "report")}
    browser = opened(given.out / "report.html")
    seconds = {step: figures[step]["seconds"] for step in ("map", "report")}
    peak = max(figures[step]["peak_gib"] for step in ("map", "report"))
    busy = os.getloadavg()[0]
    print(f"{figures['make']['images']:,} images, {os.cpu_count()} cores, load {busy:.1f}\n")
    print("| | measured | target |\n| --- | --- | --- |")
    print(f"| map | {seconds['map']:.1f} s | |\n| report | {seconds['report']:.1f} s | |")
    print(f"| map + report | {sum(seconds.values()):.1f} s | ≤ 60 s |")
    cpu = sum(figures[step]["cpu"] for step in ("map", "report"))
    print(f"| processor time of both, imports included | {cpu:.1f} s | |")
    print(f"| memory, peak | {peak:.2f} GiB | ≤ 2 GiB |")
    print(f"| file | {figures['report']['megabytes']:.1f} MB | < 15 MB |")
    print(f"| in Chromium, until the map stands | {browser:.1f} s | |")


def make(given: argparse.Namespace) -> dict[str, float]:
    """A run as `headlight fit` leaves it, without the map: k-means stands in for the head."""
    import pyarrow as pa
    from sklearn.cluster import MiniBatchKMeans

    from headlight.images import open_source
    from headlight.runs.files import write_table
    from headlight.runs.image_keys import image_keys
    from headlight.runs.projected import project
    from headlight.runs.tables import assignment_columns, assignments_table, clusters_table

    features = _features(given)
    n = len(features)
    means = MiniBatchKMeans(10, random_state=0, n_init=3).fit(features[: min(n, 20_000)])
    distance = np.concatenate(
        [means.transform(features[i : i + 4096].astype(np.float32)) for i in range(0, n, 4096)]
    )
    logits = -(distance - distance.min(1, keepdims=True)) / distance.std()
    chances = np.exp(3 * logits)
    chances = (chances / chances.sum(1, keepdims=True)).astype(np.float32)
    source = open_source(given.images)
    paths = [ref.path for ref, _ in zip(source, range(n), strict=False)]
    outlying = distance.min(1)
    table = assignments_table(
        pa.array(paths),
        image_keys(paths, [None] * n),
        assignment_columns(chances),
        outliers=outlying,
        duplicates=np.full(n, -1),
        xy=np.zeros((n, 2), np.float32),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    rows = project(features, features.mean(0, dtype=np.float32))
    write_table(given.out / "assignments.parquet", table)
    write_table(given.out / "clusters.parquet", clusters_table(table, rows, _quality()))
    none = pa.table({"path": pa.array([], pa.string()), "error": pa.array([], pa.string())})
    write_table(given.out / "quarantine.parquet", none)
    source_info = SourceInfo(uri=source.uri, images=n, quarantined=0)
    encoder = EncoderInfo(
        name="lite0",
        weights="",
        dim=features.shape[1],
        views=0,
        engine="benchmark",
        device="cpu",
        precision="auto",
    )
    created = datetime(2026, 1, 1, tzinfo=UTC)
    info = RunInfo(created=created, source=source_info, encoder=encoder, versions={})
    _record(given.out, info)
    return {"images": n}


def _record(folder: Path, info: RunInfo) -> None:
    """Writes ``run.json`` for the tables that lie in the folder now."""
    fit = FitInfo(
        id="0" * 16,
        images=info.source.images,
        asked=10,
        recipe="robust",
        seed=0,
        device="cpu",
        n_clusters=10,
        mean_confidence=0.0,
        graph_information=0.0,
        features="0" * 64,
        files={f"{name}.parquet": digest(folder / f"{name}.parquet") for name in TABLES},
    )
    write_record(folder / "run.json", info.model_copy(update={"fit": fit}))


def lay_out(given: argparse.Namespace) -> dict[str, float]:
    """The map, written into the run."""
    import pyarrow as pa

    from headlight.clustering.features import as_features
    from headlight.clustering.projection import fit_projection
    from headlight.runs import load_run
    from headlight.runs.files import write_table
    from headlight.runs.map import DIMS, image_map, map_points
    from headlight.runs.projected import project

    run, features = load_run(given.out), _features(given)
    table = run.assignments
    projection = fit_projection(as_features(features), DIMS)  # the model's own, in a run
    started = time.perf_counter()
    rows = project(features, projection.mean.numpy(), projection.components.numpy())
    xy = image_map(map_points(rows), table["cluster"].to_numpy())
    seconds = time.perf_counter() - started
    for name, values in zip(("map_x", "map_y"), xy.T, strict=True):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values))
    write_table(given.out / "assignments.parquet", table)
    _record(given.out, run.info)
    return {"seconds": seconds, "cpu": time.process_time(), "peak_gib": _peak()}


def write(given: argparse.Namespace) -> dict[str, float]:
    """The report."""
    from headlight.explore import write_report
    from headlight.runs import load_run

    started = time.perf_counter()
    file = write_report(load_run(given.out))
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu": time.process_time(),
        "peak_gib": _peak(),
        "megabytes": file.stat().st_size / 1e6,
    }


def opened(file: Path) -> float:
    """Seconds from opening the file to a map that can be touched."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 844})
        started = time.perf_counter()
        page.goto(file.resolve().as_uri())
        page.wait_for_selector("html[data-ready=map]", state="attached", timeout=60_000)
        seconds = time.perf_counter() - started
        browser.close()
    return seconds


def _features(given: argparse.Namespace) -> np.ndarray:
    features = np.load(given.features, mmap_mode="r")
    plain = features[: given.rows] if features.ndim == 2 else features[: given.rows, 0]
    return np.ascontiguousarray(plain)


def _quality():  # type: ignore[no-untyped-def]
    from headlight.clustering.quality import ClusterQuality

    values = np.linspace(0.9, 0.5, 10, dtype=np.float32)
    return ClusterQuality(values, values, values, values)


def _alone(step: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.explore.report", *sys.argv[1:], "--step", step]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _peak() -> float:
    """GiB of memory this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
