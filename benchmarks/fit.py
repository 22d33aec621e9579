"""SCP.fit against FAISS k-means with 10 inits on the same projection: time and memory.

    python -m benchmarks.fit [--features X.npy] [--clusters 10] [--rounds 3]

Both run in turn in one process. k-means is given its projection for nothing and every row;
SCP pays for its own projection and neighbours, and sees all views. Memory is measured in a process
of its own that only loads the features and fits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import faiss
import numpy as np

from benchmarks.machine import machine
from headlight.clustering import SCP
from headlight.clustering.features import Features
from headlight.clustering.projection import project

MB = 1e6


def synthetic(path: Path, n: int = 50_000, views: int = 3, dim: int = 1280) -> None:
    """Writes a mixture of 100 clusters with correlated noise, float16, as encoders make them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((100, dim), dtype=np.float32)
    directions = rng.standard_normal((64, dim), dtype=np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float16, (n, views, dim))
    for start in range(0, n, 2000):
        rows = min(2000, n - start)
        image = 0.5 * centres[rng.integers(0, 100, rows)]
        image += 0.12 * rng.standard_normal((rows, 64), dtype=np.float32) @ directions
        noise = 0.7 * rng.standard_normal((rows, views, dim), dtype=np.float32)
        out[start : start + rows] = image[:, None] + noise
    out.flush()


def k_means(points: np.ndarray, n_clusters: int) -> None:
    """FAISS k-means: 10 inits, its usual 25 iterations, every row used."""
    every = len(points) // n_clusters + 1
    faiss.Kmeans(
        points.shape[1], n_clusters, nredo=10, max_points_per_centroid=every, seed=0
    ).train(points)


def status(field: str) -> float:
    """A memory field of this process in MB."""
    with Path("/proc/self/status").open() as lines:
        return next(int(x.split()[1]) * 1024 / MB for x in lines if x.startswith(field))


def memory(path: Path, n_clusters: int) -> None:
    """Loads, fits, and prints resident memory before the input, and the peak."""
    before = status("VmRSS")
    X = np.load(path)
    SCP(n_clusters, random_state=0).fit(X)
    print(before, status("VmHWM"))


def compare(path: Path, n_clusters: int, rounds: int) -> None:
    """Measures and prints a Markdown table."""
    X = np.load(path)
    fitted = SCP(n_clusters, n_heads=1, n_epochs=1, random_state=0).fit(X)  # also warms up
    plain = Features(X[:, 0] if X.ndim == 3 else X)
    points = project(plain, fitted.projection_).plain.float().numpy()
    ours, theirs = [], []
    for seed in range(rounds):
        begin = time.perf_counter()
        SCP(n_clusters, random_state=seed).fit(X)
        middle = time.perf_counter()
        k_means(points, n_clusters)
        ours.append(middle - begin)
        theirs.append(time.perf_counter() - middle)
    command = [sys.executable, "-m", "benchmarks.fit", "--memory", str(path)]
    command += ["--clusters", str(n_clusters)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, peak = map(float, out.split())
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    size = X.nbytes / MB
    shape = " × ".join(map(str, X.shape))
    print(f"Features {shape} {X.dtype}, {n_clusters} clusters, {rounds} rounds.\n")
    print("| | median | each round |\n| --- | --- | --- |")
    for name, values, form in (
        ("SCP.fit, s", ours, ".1f"),
        ("FAISS k-means, 10 inits, same projection, s", theirs, ".1f"),
        ("ratio", ratios, ".2f"),
    ):
        each = ", ".join(format(value, form) for value in values)
        print(f"| {name} | {median(values):{form}} | {each} |")
    print("\n| memory | MB | × input |\n| --- | --- | --- |")
    for name, value in (
        ("input", size),
        ("peak of the process that fits", peak),
        ("growth since before the input was loaded", peak - before),
    ):
        print(f"| {name} | {value:.0f} | {value / size:.2f} |")
    print(f"\n{machine()}")


def main() -> None:
    """Parses the arguments; without a file, makes one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory, arguments.clusters)
    elif arguments.features:
        compare(arguments.features, arguments.clusters, arguments.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "features.npy"
            synthetic(path)
            compare(path, arguments.clusters, arguments.rounds)


if __name__ == "__main__":
    main()
