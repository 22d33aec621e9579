"""What the report of a run shows, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from statistics import median
from typing import Any

from headlight.explore.palette import palette
from headlight.explore.report.cards import Card, make_cards
from headlight.explore.report.confusion import Truth, truth_of
from headlight.explore.report.duplicates import NearDuplicates, near_duplicates
from headlight.explore.report.headline import Figure, command_of, figures_of, settings_of
from headlight.explore.report.map_points import MapPoints, choose_points
from headlight.explore.report.relations import Curve, Tree, curve_of, tree_of
from headlight.review.review import review
from headlight.runs import Run

QUARANTINE = 200


@dataclass(frozen=True, slots=True)
class ReportContents:
    """All that the report shows, images aside.

    Arguments:
        title: the source's name.
        figures: the headline.
        edits: how many edits of people are in it; note: one sentence on edits that are not.
        cards: of the clusters that have images, the best first.
        clusters: cluster, name, colour and size of every cluster there is.
        more_clusters: clusters with images that got no card.
        empty: names of clusters without images.
        spread: one line about the sizes.
        points: the images on the map.
        tree, curve, truth, duplicates: None where the run knows nothing of it.
        quarantine: path and reason of images that could not be used.
        more_quarantine: how many more there are.
        command: the command line that makes this run again.
        settings: name and value of everything needed to make it again.
    """

    title: str
    figures: list[Figure]
    edits: int
    note: str
    cards: list[Card]
    clusters: list[dict[str, Any]]
    more_clusters: int
    empty: list[str]
    spread: str
    points: MapPoints
    tree: Tree | None
    curve: Curve | None
    truth: Truth | None
    duplicates: NearDuplicates | None
    quarantine: list[tuple[str, str]]
    more_quarantine: int
    command: str
    settings: list[tuple[str, str]]

    @property
    def by_size(self) -> list[Card]:
        """Cards, the largest cluster first."""
        return sorted(self.cards, key=lambda card: (-card.size, card.cluster))

    @property
    def judged(self) -> bool:
        """Whether any cluster has a quality."""
        return any(card.quality is not None for card in self.cards)

    @property
    def names(self) -> dict[int, str]:
        """Cluster → name."""
        return {row["cluster"]: row["name"] for row in self.clusters}

    @property
    def colours(self) -> dict[int, str]:
        """Cluster → colour."""
        return {row["cluster"]: row["colour"] for row in self.clusters}

    def paths(self) -> list[str]:
        """All images shown large; some may be named twice."""
        groups = self.duplicates.shown if self.duplicates else []
        return [
            *(path for card in self.cards for path in card.paths()),
            *(path for group in groups for path in group.paths),
        ]


def contents_of(run: Run) -> ReportContents:
    """Gather what the report of ``run`` shows, as people have corrected it.

    Arguments:
        run: fitted.

    Raises:
        HeadlightError: it is not fitted, or one of its files is damaged.
    """
    reviewed = review(run)
    assignments, table = reviewed.assignments(), reviewed.clusters()
    colours = palette(max(table["cluster"].to_pylist(), default=-1) + 1)
    clusters = [
        {
            **{key: row[key] for key in ("cluster", "name", "size")},
            "colour": colours[row["cluster"]],
        }
        for row in table.to_pylist()
    ]
    cards = make_cards(assignments, table, dict(enumerate(colours)))
    sizes = [row["size"] for row in clusters if row["size"]]
    truth = truth_of(reviewed, {row["cluster"]: row["name"] for row in clusters})
    quarantine = run.quarantine.slice(0, QUARANTINE).to_pylist()
    return ReportContents(
        title=_title(run),
        figures=figures_of(reviewed, truth),
        edits=reviewed.n_edits,
        note=reviewed.note,
        cards=cards,
        clusters=clusters,
        more_clusters=len(sizes) - len(cards),
        empty=[row["name"] for row in clusters if not row["size"]],
        spread=(
            f"largest {max(sizes):,} · median {median(sizes):,.0f} · smallest {min(sizes):,}"
            if sizes
            else ""
        ),
        points=choose_points(assignments),
        tree=tree_of(run),
        curve=curve_of(run.fit),
        truth=truth,
        duplicates=near_duplicates(assignments),
        quarantine=[(row["path"], row["error"]) for row in quarantine],
        more_quarantine=len(run.quarantine) - len(quarantine),
        command=command_of(run.info, run.fit),
        settings=settings_of(run.info, run.fit),
    )


def _title(run: Run) -> str:
    uri = run.info.source.uri
    return PurePath(uri).name or uri
