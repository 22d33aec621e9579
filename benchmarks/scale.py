"""Time and memory of SCP.fit from ten thousand images to a million, on a memory map.

    python -m benchmarks.scale [--sizes 10000 30000 100000 300000 1000000] [--dim 768]
        [--clusters 100 1000] [--name scale]

The features are made up: a cluster is a low-dimensional subspace through a centre of its own, plus
noise; sizes of clusters differ. Each size is fitted in a fresh process, on the first rows of one
file. What is measured there: seconds of `fit`, and the growth of memory that belongs to the process
alone (RssAnon, sampled). Pages of the memory map don't count: the system takes them back. After it,
in the same process, FAISS's k-means with its own defaults labels the same rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.machine import machine
from headlight.clustering import SCP
from headlight.evaluation import score
from headlight.runs.files import atomic, write_table

ROOT = Path(__file__).parents[1]
SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000]
CHUNK = 10_000
SHARED = 64
INTRINSIC = 12
SPREAD = 0.35
NOISE = 4.0
MIB = 2**20


def synthetic(folder: Path, n: int, dim: int, n_clusters: int, seed: int = 0) -> None:
    """Writes ``x.npy``, float16 (n, dim), a chunk at a time, and ``y.npy``, the clusters.

    Row i of cluster c is (m_c + U_c z) B + e: a centre, a point of the cluster's own 12-dimensional
    subspace, both within 64 directions B that all clusters share, and noise in every direction.
    Clusters overlap somewhat, and hold between 0.5 and 1.5 of their mean size. The first rows are
    the same for every n.
    """
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((SHARED, dim), dtype=np.float32) / SHARED**0.5
    centres = rng.standard_normal((n_clusters, SHARED), dtype=np.float32)
    subspaces = rng.standard_normal((n_clusters, INTRINSIC, SHARED), dtype=np.float32)
    share = rng.uniform(0.5, 1.5, n_clusters)
    out = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float16, (n, dim))
    clusters = np.empty(n, dtype=np.int32)
    for start in range(0, n, CHUNK):
        rows = slice(start, min(start + CHUNK, n))
        drawn = np.sort(rng.choice(n_clusters, CHUNK, p=share / share.sum()))
        inside = rng.standard_normal((CHUNK, INTRINSIC), dtype=np.float32)
        point = centres[drawn]
        for c in np.unique(drawn):
            point[drawn == c] += SPREAD * inside[drawn == c] @ subspaces[c]
        made = point @ directions + NOISE * rng.standard_normal((CHUNK, dim), dtype=np.float32)
        order = rng.permutation(CHUNK)[: rows.stop - start]
        out[rows], clusters[rows] = made[order], drawn[order]
    out.flush()
    np.save(folder / "y.npy", clusters)


class AnonymousPeak:
    """Watches this process's anonymous memory in a thread: ``with AnonymousPeak() as peak``.

    Attributes:
        growth: bytes between what there was on entering and the most seen since.
    """

    def __init__(self, interval: float = 0.01) -> None:
        self.growth = 0
        self._interval = interval
        self._stop = threading.Event()

    def __enter__(self) -> AnonymousPeak:
        self._before = anonymous()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.growth = max(self.growth, anonymous() - self._before)
            if self._stop.wait(self._interval):
                return


def anonymous() -> int:
    """Bytes of memory that belong to this process alone."""
    with Path("/proc/self/status").open() as lines:
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("RssAnon"))


def fit(folder: Path, n: int, n_clusters: int) -> dict[str, Any]:
    """Fits the first n rows and measures; to be run in a process of its own."""
    features = np.load(folder / "x.npy", mmap_mode="r")
    # A tiny fit first: what libraries set up once is not what grows with the data.
    SCP(2, n_epochs=1, random_state=0).fit(np.array(features[:200]))
    with AnonymousPeak() as peak:
        start = time.perf_counter()
        scp = SCP(n_clusters, random_state=0).fit(features[:n])
        seconds = time.perf_counter() - start
    truth = np.load(folder / "y.npy")[:n]
    took, labels = k_means(features[:n], n_clusters)
    means = {f"k_means_{name}": value for name, value in score(truth, labels).items()}
    return {
        "n": n,
        "dim": features.shape[1],
        "n_clusters": n_clusters,
        "seconds": seconds,
        "anonymous_mib": peak.growth / MIB,
        "input_mib": n * features.shape[1] * features.itemsize / MIB,
        "k_means_seconds": took,
        **means,
    } | score(truth, scp.labels_)


def k_means(features: np.ndarray, n_clusters: int) -> tuple[float, np.ndarray]:
    """Seconds and labels of FAISS's k-means: 25 iterations on 256 rows a cluster, then all rows."""
    import faiss

    start = time.perf_counter()
    most = min(len(features), 256 * n_clusters)
    drawn = np.sort(np.random.default_rng(0).choice(len(features), most, replace=False))
    fitted = faiss.Kmeans(features.shape[1], n_clusters, seed=0)
    fitted.train(features[drawn].astype(np.float32))
    labels = np.empty(len(features), np.int64)
    for first in range(0, len(features), CHUNK):
        rows = features[first : first + CHUNK].astype(np.float32)
        labels[first : first + CHUNK] = fitted.index.search(rows, 1)[1][:, 0]
    return time.perf_counter() - start, labels


def slope(rows: list[dict[str, Any]], column: str, over: str = "n") -> float:
    """Exponent b of column ~ over^b, by least squares of the logarithms; 1 is linear growth."""
    x = np.log([row[over] for row in rows])
    return float(np.polyfit(x, np.log([row[column] for row in rows]), 1)[0])


def table(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    first = rows[0]
    lines = [
        "# Growth with the number of images and of clusters\n",
        "`python -m benchmarks.scale`: `SCP(n_clusters).fit` on made-up "
        f"features, {first['dim']} × float16, one view, from a memory map. Memory is "
        "what the fit adds to the process, pages of the map left out. ACC and NMI only tell that "
        "it worked. k-means is FAISS's, with its defaults, in the same process afterwards.\n",
        f"Machine: {first['machine']}\n",
        "| images | clusters | seconds | µs an image | memory, MiB | input, MiB | ACC | NMI "
        "| k-means, seconds | ACC | NMI |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['n']:,} | {row['n_clusters']:,} | {row['seconds']:.1f} "
        f"| {1e6 * row['seconds'] / row['n']:.0f} "
        f"| {row['anonymous_mib']:.0f} | {row['input_mib']:.0f} "
        f"| {row['acc']:.3f} | {row['nmi']:.3f} | {row['k_means_seconds']:.1f} "
        f"| {row['k_means_acc']:.3f} | {row['k_means_nmi']:.3f} |"
        for row in rows
    ]
    for name, over, fixed in (("n", "n", "n_clusters"), ("K", "n_clusters", "n")):
        for value in sorted({row[fixed] for row in rows}):
            same = [row for row in rows if row[fixed] == value]
            if len(same) > 1:
                what = f"{value:,} {'clusters' if over == 'n' else 'images'}"
                exponent = slope(same, "seconds", over)
                lines.append(f"\nWith {what}, seconds grow as {name}^{exponent:.2f}; 1 is linear.")
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """Seconds and memory against images, logarithmic, with a line of slope 1; fewest clusters.

    Raises:
        ModuleNotFoundError: matplotlib is missing.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in rows if row["n_clusters"] == rows[0]["n_clusters"]]
    n = np.array([row["n"] for row in rows])
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(n, [row["seconds"] for row in rows], "o-", label="SCP.fit")
    left.plot(n, rows[-1]["seconds"] * n / n[-1], ":", color="grey", label="linear")
    left.set(xscale="log", yscale="log", xlabel="images", ylabel="seconds")
    right.plot(n, [row["anonymous_mib"] for row in rows], "o-", label="SCP.fit adds")
    right.plot(n, [row["input_mib"] for row in rows], ":", color="grey", label="input (linear)")
    right.set(xscale="log", yscale="log", xlabel="images", ylabel="MiB")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Makes the features, fits each size in its own process, writes table and plot."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--clusters", type=int, nargs="+", default=[100])
    parser.add_argument("--name", default="scale", help="of the results' files")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--folder", type=Path, help="where the features are put; temporary if not")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.fit:
        print("\n" + json.dumps(fit(options.fit, options.sizes[0], options.clusters[0])))
        return
    sizes = sorted(options.sizes)
    rows = []
    for k in sorted(options.clusters):
        with tempfile.TemporaryDirectory(prefix="headlight-scale-", dir=options.folder) as folder:
            synthetic(Path(folder), sizes[-1], options.dim, k)
            for n in sizes:
                command = [sys.executable, "-m", "benchmarks.scale", "--fit", folder]
                command += ["--sizes", str(n), "--clusters", str(k)]
                done = subprocess.run(
                    command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
                )
                rows.append(json.loads(done.stdout.splitlines()[-1]) | {"machine": machine()})
                print(f"{n:,} images, {k:,} clusters: {rows[-1]['seconds']:.1f} s", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(options.out / f"{options.name}.parquet", pa.Table.from_pylist(rows))
    with atomic(options.out / f"{options.name}.md") as temporary:
        temporary.write_text(table(rows), "utf-8")
    try:
        plot(rows, options.out / f"{options.name}.png")
    except ModuleNotFoundError:
        print("no plot: pip install 'headlight-images[benchmarks]'", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
