"""Do label-free scores rank features and settings as true accuracy does?

    python -m benchmarks.scores [--data digits caltech101 cifar10] [--rows 4000]

Features are made better and worse on purpose (fewer components, noise, views left out) and settings
changed; one fit each. Every score is computed without labels, then compared with ACC by Spearman's
rank correlation. Writes Markdown.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.machine import machine
from benchmarks.methods.data import ROOT, prepare
from benchmarks.methods.data import load as load_features
from headlight.clustering import SCP
from headlight.clustering.features import Features
from headlight.clustering.fusion import judge_by_peers
from headlight.clustering.neighbours import nearest_neighbours
from headlight.clustering.projection import project
from headlight.evaluation import metrics

NEIGHBOURS = 15
SCORES = {
    "information": "I / H^0.6 of the clusters on the variant's own neighbour graph: the largest of "
    "SCP's `graph_information_`",
    "confidence": "mean largest probability, not calibrated",
    "views": "share of images whose augmented view falls in the cluster of the plain one, on the "
    "variant's own features",
    "peers": "I / H^0.6 of the same clusters on the neighbour graph of every *other* variant, as a "
    "share of what that one's own clusters reach; the mean",
}


@dataclass(frozen=True)
class Variant:
    """One way to cluster the same images.

    Arguments:
        name: for the table.
        X: float16 (n, views, dim), all that is fitted on.
        unseen: float16 (n, dim), an augmented view of each image, as this variant's encoder has it.
        settings: of SCP.
    """

    name: str
    X: np.ndarray
    unseen: np.ndarray
    settings: dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """What is kept of a fit: figures for the table, labels and graph to compare with others."""

    figures: dict[str, float]
    labels: np.ndarray
    neighbours: torch.Tensor


def variants(X: np.ndarray) -> list[Variant]:
    """Features (n, views, dim) changed, and settings changed."""
    made = [Variant("as it is", X, X[:, -1], {})]
    flat = X[:, 0].astype(np.float32)
    mean = flat.mean(axis=0)
    directions = np.linalg.svd(flat[:5000] - mean, full_matrices=False)[2]
    for kept in (8, 32):
        reduced = ((X.astype(np.float32) - mean) @ directions[:kept].T).astype(np.float16)
        made.append(Variant(f"PCA to {kept}", reduced, reduced[:, -1], {}))
    rng = np.random.default_rng(0)
    for level in (1, 2, 4):
        noise = rng.standard_normal(X.shape, dtype=np.float32) * (level * flat.std(axis=0))
        noisy = (X + noise).astype(np.float16)
        made.append(Variant(f"noise of {level} × standard deviation", noisy, noisy[:, -1], {}))
    made.append(Variant("one view", X[:, :1], X[:, -1], {}))
    for name, value in (("n_neighbors", 5), ("n_neighbors", 30)):
        made.append(Variant(f"{name}={value}", X, X[:, -1], {name: value}))
    return made


def fit(variant: Variant, y: np.ndarray) -> Fit:
    """Fits SCP with the true number of clusters."""
    begin = time.perf_counter()
    n_clusters = len(np.unique(y))
    scp = SCP(n_clusters, random_state=0, **variant.settings).fit(variant.X)
    seconds = time.perf_counter() - begin
    projected = project(Features(variant.X[:, 0]), scp.projection_).plain
    figures = {
        "acc": metrics.clustering_accuracy(y, scp.labels_),
        "nmi": metrics.normalized_mutual_info(y, scp.labels_),
        "seconds": seconds,
        "information": scp.graph_information_,
        "confidence": float(scp.predict_proba(variant.X).max(axis=1).mean()),
        "views": float((scp.predict(variant.unseen) == scp.labels_).mean()),
    }
    return Fit(figures, scp.labels_, nearest_neighbours(projected, NEIGHBOURS)[0])


def section(name: str, names: list[str], fits: list[Fit]) -> tuple[str, dict[str, float]]:
    """The Markdown of one data set, and each score's correlation with ACC."""
    acc = [one.figures["acc"] for one in fits]
    ranks = {s: float(spearmanr([f.figures[s] for f in fits], acc)[0]) for s in SCORES}
    columns = ("acc", "nmi", *SCORES)
    lines = [
        f"## {name}",
        "",
        f"{len(fits[0].labels):,} images, {len(np.unique(fits[0].labels))} clusters.",
        "",
        f"| variant | {' | '.join(columns)} | seconds |",
        f"| --- |{' ---: |' * (len(columns) + 1)}",
    ]
    for variant, one in zip(names, fits, strict=True):
        cells = " | ".join(f"{one.figures[column]:.3f}" for column in columns)
        lines.append(f"| {variant} | {cells} | {one.figures['seconds']:.1f} |")
    cells = " | ".join(f"**{ranks[s]:.2f}**" for s in SCORES)
    return "\n".join([*lines, f"| Spearman with ACC | | | {cells} | |"]), ranks


def load(name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The plain image and the views, (n, views, dim), of at most `rows` images that have views."""
    features, y = load_features(prepare(name).fit, "gentle", "natural")
    viewed = features.viewed[:rows]
    X = np.concatenate([features.plain[viewed, None], features.views[: len(viewed)]], axis=1)
    return X, y[viewed]


def main() -> None:
    """Fits every variant of every data set, prints and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["digits", "caltech101", "cifar10"])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scores.md")
    args = parser.parse_args()
    sections, ranks = [], {}
    for name in args.data:
        X, y = load(name, args.rows)
        names, fits = [], []
        for variant in variants(X):
            names.append(variant.name)
            fits.append(fit(variant, y))
            print(name, variant.name, fits[-1].figures, flush=True)
        judged = judge_by_peers(
            [one.labels for one in fits], [one.neighbours for one in fits], len(np.unique(y))
        )
        for one, score in zip(fits, judged, strict=True):
            one.figures["peers"] = float(score)
        text, ranks[name] = section(name, names, fits)
        sections.append(text)
        print(text, flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n\n".join([heading(ranks), *sections]) + "\n")


def heading(ranks: dict[str, dict[str, float]]) -> str:
    """What was measured, how, and how well each score ranks."""
    means = {s: float(np.mean([found[s] for found in ranks.values()])) for s in SCORES}
    best = max(means, key=lambda s: means[s])
    lines = [
        "# Label-free scores against true accuracy",
        "",
        f"`python -m benchmarks.scores`; {machine()}.",
        "",
        "The same images clustered from features made better or worse and with other settings, "
        "seed 0, the true number of clusters. Scores see no labels:",
        "",
        *(f"- **{name}**: {what}." for name, what in SCORES.items()),
        "",
        "Spearman's rank correlation with ACC over the variants; 1 ranks them all rightly:",
        "",
        f"| data | {' | '.join(SCORES)} |",
        f"| --- |{' ---: |' * len(SCORES)}",
        *(
            f"| {data} | {' | '.join(f'{found[s]:.2f}' for s in SCORES)} |"
            for data, found in ranks.items()
        ),
        f"| mean | {' | '.join(f'{means[s]:.2f}' for s in SCORES)} |",
        "",
        f"The best on average: **{best}**.",
        "",
        "All but *peers* are measured in each variant's own feature space: a space with few "
        "directions, or one that separates things nobody asked for, can score high with clusters "
        "that mean little. *Peers* puts every partition before the same graphs, its own left out, "
        "and needs several variants of the same images. It leans to the majority: here half the "
        "graphs come from unchanged features, and a single better encoder among many poor ones "
        "would be judged by theirs. *Confidence* and *views* are 1 where all images fall in one "
        "cluster, as they do under the strongest noise.",
        "",
        "Some variants differ by less than the change of a seed, and no score can rank those; the "
        "variants are few, and all come from one encoder: compare encoders of other kinds with "
        "care. Seconds are of one fit, whatever else the machine was doing.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
