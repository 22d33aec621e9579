"""The figures at the top of the report, and what it takes to make the run again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from headlight.explore.report.confusion import Truth
from headlight.explore.report.words import duration, percent
from headlight.runs import Run

SCORES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number worth a large font."""

    label: str
    value: str
    note: str = ""


def figures_of(
    run: Run, assignments: pa.Table, clusters: pa.Table, truth: Truth | None
) -> list[Figure]:
    """The headline.

    Arguments:
        run: for its timings, encoder and stored scores.
        assignments, clusters: of `headlight.review.review.Review`.
        truth: scores of these very clusters; else those in ``run.json`` are shown.
    """
    info = run.info
    images = len(assignments)
    found = sum(size > 0 for size in clusters["size"].to_pylist())
    confidence = float(assignments["confidence"].to_numpy().mean()) if images else 0.0
    figures = [Figure("images", f"{images:,}"), Figure("clusters", f"{found:,}")]
    if (quality := _mean_quality(clusters)) is not None:
        figures.append(Figure("quality", f"{quality:.2f}", "no labels needed · 1 is best"))
    figures.append(Figure("mean confidence", percent(confidence)))
    known = truth.scores if truth else info.get("scores", {})
    scores = {key.lower(): value for key, value in known.items()}
    for key, label in SCORES.items():
        if isinstance(scores.get(key), int | float):
            note = "against known labels" if key == "acc" else ""
            figures.append(Figure(label, percent(scores[key], 1), note))
    figures += _time(info.get("timings", {}))
    encoder = info["encoder"]
    figures.append(Figure("encoder", encoder["encoder"], encoder["engine"]))
    if len(run.quarantine):
        figures.append(Figure("not used", f"{len(run.quarantine):,}"))
    return figures


def command_of(info: dict[str, Any]) -> str:
    """The command line that makes the run again, quoted for a shell."""
    encoder, fit = info["encoder"], info["fit"]
    words = ["headlight", "cluster", info["source"]["uri"]]
    words += ["-k", fit.get("asked", fit["n_clusters"])]
    words += ["--encoder", encoder["encoder"], "--views", encoder["views"]]
    words += ["--recipe", fit["recipe"], "--seed", fit["seed"], "-o", "NEW_RUN"]
    return shlex.join(str(word) for word in words)


def settings_of(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of everything that made the run what it is."""
    encoder, fit = info["encoder"], info["fit"]
    created = datetime.fromisoformat(info["created"]).strftime("%Y-%m-%d %H:%M %Z").strip()
    return [
        ("Source", info["source"]["uri"]),
        ("Encoder", f"{encoder['encoder']}, {encoder['dim']} features an image"),
        *[("Left out", name) for name in fit.get("encoders_left_out", [])],
        ("Weights, hash", encoder["weights"]),
        ("Engine", encoder["engine"]),
        ("Augmented views", str(encoder["views"])),
        ("Clusters asked for", _asked(fit)),
        ("Recipe", fit["recipe"]),
        ("Seed", str(fit["seed"])),
        ("Loss", f"{fit['loss']:.4f}"),
        ("Fit", fit["id"]),
        ("Made", created),
        ("Versions", ", ".join(f"{name} {v}" for name, v in info["versions"].items())),
    ]


def _time(timings: dict[str, Any]) -> list[Figure]:
    """How long it all took, and of what."""
    seconds = sum(part["seconds"] for part in timings.values())
    if not seconds:
        return []
    parts = []
    if embed := timings.get("embed"):
        rate = embed["images"] / max(embed["seconds"], 1e-9)
        parts.append(f"embedding {rate:,.0f} images/s")
    if fit := timings.get("fit"):
        parts.append(f"fit {duration(fit['seconds'])}")
    return [Figure("time", duration(seconds), ", ".join(parts))]


def _mean_quality(clusters: pa.Table) -> float | None:
    """Of the clusters that have one, weighted by their sizes."""
    if "quality" not in clusters.column_names:
        return None
    pairs = zip(clusters["quality"].to_pylist(), clusters["size"].to_pylist(), strict=True)
    known = [(quality, size) for quality, size in pairs if quality is not None and size]
    if not known:
        return None
    qualities, sizes = zip(*known, strict=True)
    return float(np.average(qualities, weights=sizes))


def _asked(fit: dict[str, Any]) -> str:
    asked = fit.get("asked", fit["n_clusters"])
    if asked != "auto":
        return str(asked)
    low, high = fit["n_clusters_range"]
    return f"auto: {fit['n_clusters']} found, {low} to {high} likely"
