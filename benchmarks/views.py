"""How many images need augmented views? ACC against their number, the head's default set from it.

    python -m benchmarks.views [--data digits caltech101 cifar10] [--seeds 3]

Features of all images in their plain view; two augmented views of a random part of them. Every fit
draws its own part, so that the spread holds the luck of the draw. Writes Markdown.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from benchmarks.methods.data import ROOT, prepare
from headlight.clustering import SCP, Features
from headlight.evaluation import metrics

COUNTS = (0, 500, 1000, 2000, 4000, 10_000, 20_000)


class EveryView(SCP):
    """The default that this sets must not hide what lies beyond it."""

    constants = replace(SCP.constants, viewed_rows=None)


def scores(X: np.ndarray, y: np.ndarray, images: int, seed: int) -> tuple[float, float]:
    """ACC and NMI of a fit on (n, views, dim) features, with the views of so many rows."""
    viewed = np.sort(np.random.default_rng(seed).permutation(len(X))[:images])
    features = Features(X[:, 0], X[viewed, 1:], viewed)
    scp = EveryView(len(np.unique(y)), random_state=seed).fit(features)
    return (
        metrics.clustering_accuracy(y, scp.labels_),
        metrics.normalized_mutual_info(y, scp.labels_),
    )


def curve(name: str, seeds: int) -> list[str]:
    """The rows of one data set's table."""
    split = prepare(name).fit
    X, y = np.load(split.x, mmap_mode="r"), np.load(split.y)
    rows = []
    for images in [count for count in COUNTS if count < len(X)] + [len(X)]:
        found = np.array([scores(X, y, images, seed) for seed in range(seeds)])
        acc, nmi = found.mean(axis=0)
        spread = found[:, 0].std(ddof=1) if seeds > 1 else np.nan
        rows.append(f"| {name} | {images:,} | {acc:.3f} ± {spread:.3f} | {nmi:.3f} |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measures every curve and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["digits", "caltech101", "cifar10"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "views.md")
    options = parser.parse_args()
    lines = [
        "# Images with augmented views",
        "",
        f"`python -m benchmarks.views`, {options.seeds} seeds. {machine()}",
        "",
        "All images in their plain view, and two augmented views of a random part of them; `SCP` "
        "with its defaults and the true number of classes, judged on the plain views it was fitted "
        "on. Mean ± standard deviation over seeds, each with another part.",
        "",
        "| data | images with views | ACC | NMI |",
        "| --- | ---: | ---: | ---: |",
        *(row for name in options.data for row in curve(name, options.seeds)),
    ]
    options.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
