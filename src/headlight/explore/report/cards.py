"""One card per cluster: what is typical of it, what is on its edge, what may not belong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headlight.explore.report.words import percent

TYPICAL, UNCERTAIN, OUTLYING = 8, 4, 4  # images a card shows at most
IMAGES = 1800  # images all cards show at most: some 7 MB
CARDS = 1000
BINS = 20
_GIVEN = re.compile(r"^cluster-(\d+)$")  # names that nobody chose


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a cluster's card; ``shown`` tells whether it has one."""

    cluster: int
    name: str
    colour: str
    shown: bool

    @property
    def short(self) -> str:
        """The name, of ``cluster-012`` the number only: room is scarce below a small picture."""
        return _GIVEN.sub(r"\1", self.name)


@dataclass(frozen=True, slots=True)
class Uncertain:
    """An image its cluster is least sure of, and the cluster it might as well be in."""

    path: str
    confidence: str
    rival: Link
    rival_confidence: str


@dataclass(frozen=True, slots=True)
class Outlying:
    """An image unlike all others, or one that a person marked so."""

    path: str
    note: str


@dataclass(frozen=True, slots=True)
class Card:
    """One cluster.

    Arguments:
        quality: 0 to 1; None where it isn't known (any more).
        measures: (name, value as text, 0 to 1) of what the quality is made of.
        histogram: images in each of `BINS` equal ranges of confidence, 0 to 1.
    """

    cluster: int
    name: str
    colour: str
    size: int
    share: str
    confidence: float
    confidence_text: str
    quality: float | None
    measures: list[tuple[str, str, float]]
    histogram: list[int]
    done: bool
    typical: list[str]
    uncertain: list[Uncertain]
    outlying: list[Outlying]
    nearest: list[Link]

    def paths(self) -> list[str]:
        """All images on the card."""
        edge = [image.path for image in self.uncertain]
        return [*self.typical, *edge, *(image.path for image in self.outlying)]


def images_per_card(clusters: int) -> tuple[int, int, int]:
    """How many typical, uncertain and outlying images a card shows, so the file stays small.

    Arguments:
        clusters: cards in the report.

    Returns:
        At least 1 typical, and 0 or more uncertain and outlying images.
    """
    each = min(IMAGES // max(clusters, 1), TYPICAL + UNCERTAIN + OUTLYING)
    typical = max(1, -(-each // 2))
    if typical < TYPICAL:
        typical = min(typical, TYPICAL // 2)  # whole rows of the grid
    uncertain = min(UNCERTAIN, -(-(each - typical) // 2))
    return typical, uncertain, min(OUTLYING, each - typical - uncertain)


def make_cards(assignments: pa.Table, clusters: pa.Table, colours: dict[int, str]) -> list[Card]:
    """Cards of the clusters that have images, the best first.

    Arguments:
        assignments: of `headlight.review.review.Review.assignments`.
        clusters: of `headlight.review.review.Review.clusters`.
        colours: of every cluster.

    Returns:
        Sorted by quality, those without one last, then by size; of the `CARDS` largest clusters.
    """
    rows = [row for row in clusters.to_pylist() if row["size"]]
    rows = sorted(rows, key=lambda row: (-row["size"], row["cluster"]))[:CARDS]
    rows.sort(key=lambda row: -1.0 if row.get("quality") is None else row["quality"], reverse=True)
    names = dict(zip(clusters["cluster"].to_pylist(), clusters["name"].to_pylist(), strict=True))
    shown = {row["cluster"] for row in rows}

    def link(cluster: int) -> Link:
        name = names.get(cluster, f"cluster {cluster}")
        return Link(cluster, name, colours.get(cluster, ""), cluster in shown)

    n_typical, n_uncertain, n_outlying = images_per_card(len(rows))
    spare = n_typical + n_uncertain
    doubtful = _first(assignments, _doubt(assignments), n_uncertain + n_typical)
    unlike = _first(assignments, _unlike(assignments), n_outlying + spare)
    histograms = _histograms(assignments)
    cards = []
    for row in rows:
        k, typical = row["cluster"], row["prototypes"][:n_typical]
        # An image whose second choice is its own cluster was moved here by a person: no doubt left.
        doubts = [image for image in doubtful.get(k, []) if image["second"] != k]
        edge = [image for image in doubts if image["path"] not in typical][:n_uncertain]
        used = {*typical, *(image["path"] for image in edge)}
        far = [image for image in unlike.get(k, []) if image["path"] not in used][:n_outlying]
        confidence = row["mean_confidence"] or 0.0
        cards.append(
            Card(
                cluster=k,
                name=row["name"],
                colour=colours[k],
                size=row["size"],
                share=percent(row["size"] / len(assignments), 1),
                confidence=confidence,
                confidence_text=percent(confidence),
                quality=row.get("quality"),
                measures=_measures(row),
                histogram=histograms[k],
                done=bool(row.get("done")),
                typical=typical,
                uncertain=[_uncertain(image, link) for image in edge],
                outlying=[
                    Outlying(image["path"], "marked" if image.get("outlier") else "")
                    for image in far
                ],
                nearest=[link(cluster) for cluster in row["nearest"]],
            )
        )
    return cards


def _uncertain(image: dict[str, Any], link: Any) -> Uncertain:
    rivals = percent(max(0.0, image["confidence"] - image["margin"]))
    return Uncertain(image["path"], percent(image["confidence"]), link(image["second"]), rivals)


def _measures(row: dict[str, Any]) -> list[tuple[str, str, float]]:
    found = [(name, row.get(name)) for name in ("cohesion", "separation", "stability")]
    return [(name, percent(value), value) for name, value in found if value is not None]


def _doubt(table: pa.Table) -> np.ndarray:
    """Order of the rows within each cluster: the least certain first."""
    cluster, confidence, margin = (
        table[name].to_numpy() for name in ("cluster", "confidence", "margin")
    )
    return np.lexsort([margin, confidence, cluster])


def _unlike(table: pa.Table) -> np.ndarray:
    """Order of the rows within each cluster: those marked by a person, then the least alike."""
    cluster, score = table["cluster"].to_numpy(), table["outlier_score"].to_numpy()
    marked = table["outlier"].to_numpy()
    return np.lexsort([-score, ~marked, cluster])


def _first(table: pa.Table, order: np.ndarray, count: int) -> dict[int, list[dict[str, Any]]]:
    """The first ``count`` rows of each cluster in an order that keeps clusters together."""
    cluster = table["cluster"].to_numpy()[order]
    starts = np.flatnonzero(np.diff(cluster, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    wanted = ["path", "cluster", "confidence", "second", "margin", "outlier"]
    found: dict[int, list[dict[str, Any]]] = {}
    for row in table.select(wanted).take(order[rank < count]).to_pylist():
        found.setdefault(row["cluster"], []).append(row)
    return found


def _histograms(table: pa.Table) -> dict[int, list[int]]:
    cluster, confidence = table["cluster"].to_numpy(), table["confidence"].to_numpy()
    numbers, place = np.unique(cluster, return_inverse=True)
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    counts = np.bincount(place * BINS + bins, minlength=len(numbers) * BINS).reshape(-1, BINS)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
