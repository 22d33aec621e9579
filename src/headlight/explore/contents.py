"""What the report of a run shows, as plain data: figures, cards and settings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from statistics import median
from typing import Any

import numpy as np

from headlight.runs import Run

TYPICAL, UNCERTAIN = 8, 6  # images a card shows at most
IMAGES = 1600  # images the report shows at most: some 6 MB
CARDS = 1000
QUARANTINE = 200
SCORES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number worth a large font."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a cluster's card; ``shown`` tells whether it has one."""

    cluster: int
    name: str
    shown: bool


@dataclass(frozen=True, slots=True)
class Uncertain:
    """An image its cluster is least sure of, and the cluster it might as well be in."""

    path: str
    confidence: str
    rival: Link
    rival_confidence: str


@dataclass(frozen=True, slots=True)
class Card:
    """One cluster."""

    cluster: int
    name: str
    size: int
    share: str
    confidence: float
    confidence_text: str
    typical: list[str]
    uncertain: list[Uncertain]
    nearest: list[Link]


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the report says, images aside.

    Arguments:
        title: the source's name.
        figures: the headline.
        cards: of the clusters that have images, largest first.
        more_clusters: clusters with images that got no card.
        empty: names of clusters without images.
        spread: one line about the sizes.
        quarantine: path and reason of images that could not be used.
        more_quarantine: how many more there are.
        command: the command line that makes this run again.
        settings: name and value of everything needed to make it again.
    """

    title: str
    figures: list[Figure]
    cards: list[Card]
    more_clusters: int
    empty: list[str]
    spread: str
    quarantine: list[tuple[str, str]]
    more_quarantine: int
    command: str
    settings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def largest(self) -> int:
        """Images in the largest cluster."""
        return self.cards[0].size if self.cards else 0

    def paths(self) -> list[str]:
        """All images shown; some may be named twice."""
        return [
            path
            for card in self.cards
            for path in [*card.typical, *(image.path for image in card.uncertain)]
        ]


def contents_of(run: Run) -> Contents:
    """Gathers what the report of ``run`` shows.

    Arguments:
        run: fitted.

    Raises:
        HeadlightError: it is not fitted, or one of its files is damaged.
    """
    sizes = [size for size in run.clusters["size"].to_pylist() if size]
    quarantine = run.quarantine.slice(0, QUARANTINE).to_pylist()
    cards = _cards(run)
    return Contents(
        title=_title(run),
        figures=_figures(run),
        cards=cards,
        more_clusters=len(sizes) - len(cards),
        empty=[row["name"] for row in run.clusters.to_pylist() if not row["size"]],
        spread=(
            f"largest {max(sizes):,} · median {median(sizes):,.0f} · smallest {min(sizes):,}"
            if sizes
            else ""
        ),
        quarantine=[(row["path"], row["error"]) for row in quarantine],
        more_quarantine=len(run.quarantine) - len(quarantine),
        command=_command(run.info),
        settings=_settings(run.info),
    )


def images_per_card(clusters: int) -> tuple[int, int]:
    """How many typical and uncertain images a card shows, so that the file stays small.

    Arguments:
        clusters: cards in the report.

    Returns:
        At least 1 typical, and 0 or more uncertain images.
    """
    each = IMAGES // max(clusters, 1)
    typical = max(1, min(TYPICAL, -(-each * TYPICAL // (TYPICAL + UNCERTAIN))))
    if typical < TYPICAL:
        typical = min(typical, TYPICAL // 2)  # whole rows of the grid
    return typical, max(0, min(UNCERTAIN, each - typical))


def _cards(run: Run) -> list[Card]:
    rows = [row for row in run.clusters.to_pylist() if row["size"]]
    rows = sorted(rows, key=lambda row: (-row["size"], row["cluster"]))[:CARDS]
    total = len(run.assignments)
    names = dict(
        zip(run.clusters["cluster"].to_pylist(), run.clusters["name"].to_pylist(), strict=True)
    )
    shown = {row["cluster"] for row in rows}

    def link(cluster: int) -> Link:
        return Link(cluster, names.get(cluster, str(cluster)), cluster in shown)

    n_typical, n_uncertain = images_per_card(len(rows))
    doubtful = _least_certain(run, n_uncertain + n_typical)
    cards = []
    for row in rows:
        typical = row["prototypes"][:n_typical]
        uncertain = [
            Uncertain(
                image["path"],
                _percent(image["confidence"]),
                link(image["second"]),
                _percent(image["confidence"] - image["margin"]),
            )
            for image in doubtful.get(row["cluster"], [])
            if image["path"] not in typical
        ]
        confidence = row["mean_confidence"] or 0.0
        cards.append(
            Card(
                cluster=row["cluster"],
                name=row["name"],
                size=row["size"],
                share=_percent(row["size"] / total, 1),
                confidence=confidence,
                confidence_text=_percent(confidence),
                typical=typical,
                uncertain=uncertain[:n_uncertain],
                nearest=[link(cluster) for cluster in row["nearest"]],
            )
        )
    return cards


def _least_certain(run: Run, count: int) -> dict[int, list[dict[str, Any]]]:
    """Of each cluster the rows of the ``count`` images with the lowest confidence."""
    table = run.assignments.select(["path", "cluster", "confidence", "second", "margin"])
    cluster = table["cluster"].to_numpy()
    order = np.lexsort([table["margin"].to_numpy(), table["confidence"].to_numpy(), cluster])
    starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    found: dict[int, list[dict[str, Any]]] = {}
    for row in table.take(order[rank < count]).to_pylist():
        found.setdefault(row["cluster"], []).append(row)
    return found


def _title(run: Run) -> str:
    uri = run.info["source"]["uri"]
    return PurePath(uri).name or uri


def _figures(run: Run) -> list[Figure]:
    info = run.info
    images = len(run.assignments)
    found = sum(size > 0 for size in run.clusters["size"].to_pylist())
    confidence = float(run.assignments["confidence"].to_numpy().mean()) if images else 0.0
    figures = [
        Figure("images", f"{images:,}"),
        Figure("clusters", f"{found:,}"),
        Figure("mean confidence", _percent(confidence)),
    ]
    scores = {key.lower(): value for key, value in info.get("scores", {}).items()}
    for key, label in SCORES.items():
        if isinstance(scores.get(key), int | float):
            figures.append(Figure(label, _percent(scores[key], 1), "against known labels"))
    timings = info.get("timings", {})
    if embed := timings.get("embed"):
        rate = embed["images"] / max(embed["seconds"], 1e-9)
        figures.append(Figure("to embed", _duration(embed["seconds"]), f"{rate:,.0f} images/s"))
    if fit := timings.get("fit"):
        figures.append(Figure("to fit", _duration(fit["seconds"])))
    encoder = info["encoder"]
    figures.append(Figure("encoder", encoder["encoder"], encoder["engine"]))
    figures.append(Figure("quarantined", f"{len(run.quarantine):,}"))
    return figures


def _command(info: dict[str, Any]) -> str:
    encoder, fit = info["encoder"], info["fit"]
    words = [
        "headlight",
        "cluster",
        info["source"]["uri"],
        "-k",
        fit.get("asked", fit["n_clusters"]),
    ]
    words += ["--encoder", encoder["encoder"], "--views", encoder["views"]]
    words += ["--recipe", fit["recipe"], "--seed", fit["seed"], "-o", "NEW_RUN"]
    return shlex.join(str(word) for word in words)


def _settings(info: dict[str, Any]) -> list[tuple[str, str]]:
    encoder, fit = info["encoder"], info["fit"]
    created = datetime.fromisoformat(info["created"]).strftime("%Y-%m-%d %H:%M %Z").strip()
    return [
        ("Source", info["source"]["uri"]),
        ("Encoder", f"{encoder['encoder']}, {encoder['dim']} features an image"),
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


def _asked(fit: dict[str, Any]) -> str:
    asked = fit.get("asked", fit["n_clusters"])
    if asked != "auto":
        return str(asked)
    low, high = fit["n_clusters_range"]
    return f"auto: {fit['n_clusters']} found, {low} to {high} likely"


def _percent(value: float, digits: int = 0) -> str:
    text = f"{100 * value:.{digits}f}"
    # Nothing that exists is 0 %, nothing that is not all is 100 %.
    if value > 0 and float(text) == 0:
        return f"<{10**-digits:.{digits}f}%"
    if value < 1 and float(text) == 100:
        return f"{100 - 10**-digits:.{digits}f}%"
    return f"{text}%"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
