"""How well new images find their groups: updating against clustering everything anew.

    python -m benchmarks.living stl10 trashnet caltech101 [--seeds 3] [--views none]

Two trials a set and a seed. "Growing": a fit on a random 70 % of the images, then an update with
the rest; their accuracy is compared with that of a fresh fit on everything. "New classes": a fit
without two of the classes (others for each seed) and without a random 30 % of the other images,
then an update with both: how many images of the two classes land in proposed groups, how pure
these are, and how many of the others do. The parts of an update are called as an update calls
them; the classes serve for scoring only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.machine import machine
from benchmarks.methods import data
from benchmarks.methods.data import Features
from benchmarks.methods.scp import fit_scp
from headlight import SCP
from headlight.review.newcomers import Known, Newcomers, place_newcomers
from headlight.runs.projected import project

LEFT = 0.3  # of the images that come later
CLASSES = 2  # that come later


def main() -> None:
    """Write one JSON object, and a table to stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", help="as for benchmarks.methods")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", choices=("none", "strong"), default="none")
    parser.add_argument("--cache", type=Path, default=data.CACHE)
    given = parser.parse_args()
    rows = []
    for spec in given.sets:
        dataset = data.prepare(spec, given.cache)
        features, classes = data.load(dataset.fit, given.views, "natural")
        for seed in range(given.seeds):
            for trial in (growing, new_classes):
                row = {"set": dataset.name, "seed": seed, **trial(features, classes, seed)}
                print(json.dumps(row), file=sys.stderr, flush=True)
                rows.append(row)
    print(json.dumps({"machine": machine(), "views": given.views, "rows": rows}, indent=1))


def growing(features: Features, classes: np.ndarray, seed: int) -> dict[str, Any]:
    """Fit on 70 %, update with the rest."""
    rng = np.random.default_rng(seed)
    new = np.sort(rng.permutation(len(classes))[: round(LEFT * len(classes))])
    old = np.setdiff1d(np.arange(len(classes)), new)
    k = len(np.unique(classes))
    labels = np.empty(len(classes), np.int64)
    found = updated(features, old, new, k, seed)
    labels[old], labels[new] = found
    fresh = _fit(k, seed, features).labels_
    return {
        "trial": "growing",
        "acc_update": accuracy(classes, labels, new),
        "acc_fresh": accuracy(classes, fresh, new),
        "held_back": float((labels[new] >= k).mean()),
    }


def new_classes(features: Features, classes: np.ndarray, seed: int) -> dict[str, Any]:
    """Fit without two classes, update with them and with others."""
    rng = np.random.default_rng(seed)
    names = np.unique(classes)
    strange = np.isin(classes, rng.choice(names, CLASSES, replace=False))
    later = rng.random(len(classes)) < LEFT
    old, new = np.flatnonzero(~strange & ~later), np.flatnonzero(strange | later)
    k = len(names) - CLASSES
    labels = updated(features, old, new, k, seed)[1]
    held, own = labels >= k, strange[new]
    pure = sum(
        np.unique(classes[new][labels == part], return_counts=True)[1].max()
        for part in np.unique(labels[held])
    )
    return {
        "trial": "new classes",
        "recall": float(held[own].mean()),
        "purity": float(pure / max(held.sum(), 1)),
        "false": float(held[~own].mean()),
        "proposed": len(np.unique(labels[held])),
    }


def updated(
    features: Features, old: np.ndarray, new: np.ndarray, k: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of the old rows, and groups of the new ones: k and above are proposed."""
    scp = _fit(k, seed, features.take(old))
    plain = np.asarray(features.plain)
    mean, axes = scp.projection_.mean.numpy(), scp.projection_.components.numpy()
    rows = project(plain, mean, axes)
    known = Known(
        plain[old],
        rows[old],
        scp.labels_.astype(np.int32),
        scp.labels_.astype(np.int32),
        np.zeros(len(old), bool),
        np.full((len(old), 2), np.nan, np.float32),
    )

    def clustering(some: np.ndarray, joining: np.ndarray, count: int) -> np.ndarray:
        every = np.concatenate([old[some], new[joining]])
        order = np.argsort(every)
        labels = np.empty(len(every), np.int64)
        labels[order] = _fit(count, seed, features.take(every[order])).labels_
        return labels

    found: Newcomers = place_newcomers(
        known,
        plain[new],
        rows[new],
        probabilities=scp.predict_proba(plain[new]),
        groups=np.arange(k, dtype=np.int32),
        clustering=clustering,
    )
    found.numbered(k)
    return scp.labels_, found.columns["cluster"]


def _fit(k: int, seed: int, features: Features) -> SCP:
    scp = SCP(k, random_state=seed)
    fit_scp(scp, features)
    return scp


def accuracy(classes: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float:
    """Of some rows, with clusters matched to classes on all."""
    names, truth = np.unique(classes, return_inverse=True)
    groups, found = np.unique(labels, return_inverse=True)
    table = np.zeros((len(names), len(groups)), np.int64)
    np.add.at(table, (truth, found), 1)
    matched = np.full(len(groups), -1)
    of_class, of_group = linear_sum_assignment(-table)
    matched[of_group] = of_class
    return float((matched[found] == truth)[rows].mean())


if __name__ == "__main__":
    main()
