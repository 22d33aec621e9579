"""New images among the groups of a run: what an update writes of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.review.drift import Drift, drifted
from headlight.review.joint import LEAST, Clustering, joint_choice
from headlight.review.novelty import novel_rows
from headlight.runs.map import map_points, placed_among
from headlight.runs.projected import centre_of
from headlight.runs.tables import assignment_columns

NEIGHBOURS = 10  # of outlier scores, as in `headlight.SCP`
VOTERS = 15  # neighbours whose groups count
CHUNK = 4096


@dataclass(frozen=True)
class Known:
    """The images that are there already.

    Arguments:
        features: float16 (n, dim).
        rows: float16 (n, d), projected, of length 1.
        labels: int32 (n,), their groups.
        clusters: int32 (n,), those they were fitted to.
        outlier: bool (n,), marked by a person.
        xy: float32 (n, 2), where they are on the map; NaN where not known.
    """

    features: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    clusters: np.ndarray
    outlier: np.ndarray
    xy: np.ndarray


@dataclass
class Newcomers:
    """New images in their groups.

    Arguments:
        columns: of ``assignments.parquet``: cluster, confidence (in a proposed group: the cosine
            to its centre; of an image unlike any: 0), second (in a proposed group: the existing one
            it is most like), margin, outlier_score, map_x, map_y, (m,) each.
        part: int64 (m,), which of the proposed groups, the largest first; −1: an existing one.
        unlike: how many are unlike any image that is there already, and form no group.
        drifted: existing groups whose new images differ from the earlier ones.
    """

    columns: dict[str, np.ndarray]
    part: np.ndarray
    unlike: int
    drifted: list[Drift]

    def numbered(self, first: int) -> list[int]:
        """Give the proposed groups their numbers, from ``first`` on: these."""
        held = self.part >= 0
        self.columns["cluster"][held] = first + self.part[held]
        return [first + part for part in range(int(self.part.max(initial=-1)) + 1)]


def place_newcomers(
    known: Known,
    features: np.ndarray,
    rows: np.ndarray,
    *,
    probabilities: np.ndarray,
    groups: np.ndarray,
    clustering: Clustering | None = None,
) -> Newcomers:
    """The group of each new image, an existing or a proposed one, and what else a fit says of it.

    What the model says of an image counts as much as the groups of its nearest neighbours; of many
    new images the clusters decide that they make with the old ones (`joint_choice`).

    Arguments:
        known: the images that are there already.
        features: float16 (m, dim), those of the new images.
        rows: float16 (m, d), projected.
        probabilities: float32 (m, G), of the model of the groups.
        groups: int32 (G,), the group of each column; known images that are no outliers are in one.
        clustering: finds clusters of old and new images together; None: there are none to find.
    """
    kept = ~known.outlier
    labels = known.labels[kept]
    order = np.argsort(groups)
    place = order[np.searchsorted(groups, labels, sorter=order)]
    probabilities = (probabilities + _votes(known.rows[kept], place, rows, len(groups))) / 2
    novelty = novel_rows(known.features[kept], labels, features)
    part = novelty.groups
    inside = np.flatnonzero(part < 0)
    clusters = known.clusters[kept]
    best = probabilities.argmax(axis=1)
    if clustering and len(inside) >= LEAST * len(labels) and (k := len(np.unique(clusters))) > 1:
        joint = clustering(np.flatnonzero(kept), inside, k)
        best[inside] = joint_choice(joint, clusters, place, probabilities[inside])
    columns = assignment_columns(probabilities, best)
    for name in ("cluster", "second"):
        columns[name] = groups[columns[name]].astype(np.int32)
    for name in ("confidence", "margin"):  # a head is sure far from everything, too
        columns[name][novelty.unlike] = 0
    for one in range(int(part.max(initial=-1)) + 1):
        members = np.flatnonzero(part == one)
        columns["second"][members] = columns["cluster"][members]
        cosine = rows[members].astype(np.float32) @ centre_of(rows, members)
        columns["confidence"][members] = np.clip(cosine, 0, 1)
        columns["margin"][members] = 0
    drift = drifted(known.rows[kept], labels, rows[inside], columns["cluster"][inside])
    columns["outlier_score"] = _outlier_scores(known.rows, rows)
    there = np.isfinite(known.xy).all(axis=1)
    xy = np.zeros((len(rows), 2), np.float32)
    if there.any():
        xy = placed_among(map_points(rows), map_points(known.rows[there]), known.xy[there])
    columns["map_x"], columns["map_y"] = xy.T
    return Newcomers(columns, part, int(novelty.unlike.sum()), drift)


def _votes(known: np.ndarray, place: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Share of each group among the nearest known rows: float32 (m, count)."""
    import torch

    from headlight.clustering.neighbours import NeighbourIndex

    index = NeighbourIndex(torch.from_numpy(known))
    votes = np.zeros((len(rows), count), np.float32)
    for start in range(0, len(rows), CHUNK):
        near = index.search(torch.from_numpy(rows[start : start + CHUNK]), VOTERS)[1]
        for column in place[near].T:
            votes[np.arange(start, start + len(near)), column] += 1 / near.shape[1]
    return votes


def _outlier_scores(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean cosine distance to the nearest other images: float32 (m,)."""
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    for some in (known, rows):
        index.add(some.astype(np.float32))
    count = min(NEIGHBOURS + 1, index.ntotal)
    similar, near = index.search(rows.astype(np.float32), count)
    itself = near == (len(known) + np.arange(len(rows)))[:, None]
    itself[~itself.any(axis=1), -1] = True  # among many copies it may not be found
    others = np.maximum(count - 1, 1)
    return (1 - np.where(itself, 0, similar).sum(axis=1) / others).astype(np.float32)
