"""The figures at the top of the report, and what it takes to make the run again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from headlight.counts import span
from headlight.evaluation import SCORES
from headlight.explore.report.confusion import Truth
from headlight.explore.report.words import duration, percent
from headlight.review.review import Review
from headlight.runs.embedding import IMPORTED


@dataclass(frozen=True, slots=True)
class Figure:
    """A number worth a large font."""

    label: str
    value: str
    note: str = ""


def figures_of(reviewed: Review, truth: Truth | None) -> list[Figure]:
    """The headline: of the clusters as edited, or with a note where that is not known.

    Arguments:
        reviewed: the run as people have corrected it.
        truth: scores of these very clusters; else those in ``run.json`` are shown.
    """
    run = reviewed.run
    info, images = run.info, len(reviewed.labels)
    of_fit = "as fitted, before edits" if reviewed.n_edits else ""
    figures = [
        Figure("images", f"{images:,}"),
        Figure("clusters", f"{len(np.unique(reviewed.labels)):,}"),
    ]
    if (quality := _mean_quality(run.clusters)) is not None:
        changed = (reviewed.labels != run.assignments["cluster"].to_numpy()).any()
        note = of_fit if changed else "no labels needed · 1 is best"
        figures.append(Figure("quality", f"{quality:.2f}", note))
    confidence = float(run.assignments["confidence"].to_numpy().mean()) if images else 0.0
    figures.append(Figure("mean confidence", percent(confidence), of_fit))
    known = truth.scores if truth else info.get("scores", {})
    for key, label in SCORES.items():
        if isinstance(known.get(key), int | float):
            note = "against known labels" if truth or not of_fit else of_fit
            figures.append(Figure(label, percent(known[key], 1), note if key == "acc" else ""))
    figures += _time(info.get("timings", {}))
    encoder = info["encoder"]
    figures.append(Figure("encoder", encoder["encoder"], encoder["engine"]))
    if len(run.quarantine):
        figures.append(Figure("not used", f"{len(run.quarantine):,}"))
    return figures


def command_of(info: dict[str, Any]) -> str:
    """The command lines that make the run again, quoted for a shell: one, or two where features
    and clusters were made on different devices."""
    source, encoder, fit = info["source"], info["encoder"], info["fit"]
    embed_device, fit_device = encoder.get("device", "auto"), fit.get("device", "auto")
    embed = ["--encoder", encoder["encoder"], "--views", encoder["views"]]
    if not encoder["encoder"].startswith(IMPORTED):
        every = source["images"] + source["quarantined"]
        some = encoder.get("view_images")
        embed += ["--view-images", every if some is None else some]
    embed += ["--device", embed_device]
    if precision := encoder.get("precision"):
        embed += ["--precision", precision]
    fitting = ["-k", fit["asked"], "--recipe", fit["recipe"], "--seed", fit["seed"]]
    out = ["-o", "NEW_RUN"]
    if embed_device == fit_device:
        lines = [["cluster", source["uri"], *fitting, *embed, *out]]
    else:
        lines = [
            ["embed", source["uri"], *embed, *out],
            ["fit", "NEW_RUN", *fitting, "--device", fit_device],
        ]
    return "\n".join(shlex.join(["headlight", *map(str, line)]) for line in lines)


def settings_of(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every setting behind the run."""
    encoder, fit = info["encoder"], info["fit"]
    created = datetime.fromisoformat(info["created"]).strftime("%Y-%m-%d %H:%M %Z").strip()
    return [
        ("Source", info["source"]["uri"]),
        ("Encoder", f"{encoder['encoder']}, {encoder['dim']} features per image"),
        *[("Left out", name) for name in fit.get("encoders_left_out", [])],
        ("Weights, hash", encoder["weights"]),
        ("Engine", encoder["engine"]),
        ("Augmented views", _views(encoder)),
        ("Number of clusters", _number(fit)),
        ("Recipe", fit["recipe"]),
        ("Seed", str(fit["seed"])),
        ("Loss", f"{fit['loss']:.4f}"),
        ("Fit", fit["id"]),
        ("Created", created),
        ("Versions", ", ".join(f"{name} {v}" for name, v in info["versions"].items())),
    ]


def _views(encoder: dict[str, Any]) -> str:
    some = encoder.get("view_images")
    return str(encoder["views"]) + (f", of {some:,} images at most" if some is not None else "")


def _time(timings: dict[str, Any]) -> list[Figure]:
    """How long it all took, and of what."""
    seconds = sum(part["seconds"] for part in timings.values())
    if not seconds:
        return []
    parts = []
    if embed := timings.get("embed"):
        rate = embed["images"] / max(embed["seconds"], 1e-9)
        parts.append(f"{embed['images']:,} images embedded, {rate:,.0f} a second")
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


def _number(fit: dict[str, Any]) -> str:
    if fit["asked"] != "auto":
        return str(fit["asked"])
    return f"auto: {fit['n_clusters']} found, {span(*fit['n_clusters_range'])} likely"
