"""The figures at the top of the report, and what it takes to make the run again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headlight.counts import span
from headlight.evaluation import SCORES
from headlight.explore.report.confusion import Truth
from headlight.explore.report.words import duration, percent
from headlight.review.review import Review
from headlight.runs.embedding import IMPORTED
from headlight.runs.info import EncoderInfo, FitInfo, RunInfo


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
        truth: scores of these very clusters, where labels are known.
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
    if truth:
        for key, label in SCORES.items():
            note = "against known labels" if key == "acc" else ""
            figures.append(Figure(label, percent(truth.scores[key], 1), note))
    figures += _time(info)
    figures.append(Figure("encoder", info.encoder.name, info.encoder.engine))
    if len(run.quarantine):
        figures.append(Figure("not used", f"{len(run.quarantine):,}"))
    return figures


def command_of(info: RunInfo, fit: FitInfo) -> str:
    """The command lines that make the run again, quoted for a shell: one, or two where features
    and clusters were made on different devices."""
    source, encoder = info.source, info.encoder
    embed = ["--encoder", encoder.name, "--views", encoder.views]
    if not encoder.name.startswith(IMPORTED):
        every = source.images + source.quarantined
        embed += ["--view-images", every if encoder.view_images is None else encoder.view_images]
    embed += ["--device", encoder.device, "--precision", encoder.precision]
    fitting = ["-k", fit.asked, "--recipe", fit.recipe, "--seed", fit.seed]
    out = ["-o", "NEW_RUN"]
    if encoder.device == fit.device:
        lines = [["cluster", source.uri, *fitting, *embed, *out]]
    else:
        lines = [
            ["embed", source.uri, *embed, *out],
            ["fit", "NEW_RUN", *fitting, "--device", fit.device],
        ]
    return "\n".join(shlex.join(["headlight", *map(str, line)]) for line in lines)


def settings_of(info: RunInfo, fit: FitInfo) -> list[tuple[str, str]]:
    """Name and value of every setting behind the run."""
    encoder = info.encoder
    return [
        ("Source", info.source.uri),
        ("Encoder", f"{encoder.name}, {encoder.dim} features per image"),
        *[("Left out", name) for name in fit.encoders_left_out],
        ("Weights, hash", encoder.weights),
        ("Engine", encoder.engine),
        ("Augmented views", _views(encoder)),
        ("Number of clusters", _number(fit)),
        ("Recipe", fit.recipe),
        ("Seed", str(fit.seed)),
        ("Fit", fit.id),
        ("Created", info.created.strftime("%Y-%m-%d %H:%M %Z")),
        ("Versions", ", ".join(f"{name} {v}" for name, v in info.versions.items())),
    ]


def _views(encoder: EncoderInfo) -> str:
    some = encoder.view_images
    return str(encoder.views) + (f", of about {some:,} images at most" if some is not None else "")


def _time(info: RunInfo) -> list[Figure]:
    """How long it all took, and of what."""
    seconds = sum(part.seconds for part in info.timings.values())
    if not seconds:
        return []
    parts = []
    if (embed := info.timings.get("embed")) and embed.images:
        rate = embed.images / max(embed.seconds, 1e-9)
        parts.append(f"{embed.images:,} images embedded, {rate:,.0f} a second")
    if fit := info.timings.get("fit"):
        parts.append(f"fit {duration(fit.seconds)}")
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


def _number(fit: FitInfo) -> str:
    if not fit.n_clusters_range:
        return str(fit.asked)
    return f"auto: {fit.n_clusters} found, {span(*fit.n_clusters_range)} likely"
