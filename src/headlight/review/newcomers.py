"""New images among the groups of a run: what an update writes of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.review.novelty import propose_groups
from headlight.runs.map import map_points, placed_among
from headlight.runs.tables import assignment_columns

NEIGHBOURS = 10  # of outlier scores, as in `headlight.SCP`


@dataclass(frozen=True)
class Known:
    """The images that are there already.

    Arguments:
        rows: float16 (n, d), projected, of length 1.
        labels: int32 (n,), their groups.
        outlier: bool (n,), marked by a person.
        xy: float32 (n, 2), where they are on the map; NaN where not known.
    """

    rows: np.ndarray
    labels: np.ndarray
    outlier: np.ndarray
    xy: np.ndarray


def place_newcomers(
    known: Known, rows: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, next_group: int
) -> tuple[dict[str, np.ndarray], list[int]]:
    """The group of each new image, an existing or a proposed one, and what else a fit says of it.

    Arguments:
        known: the images that are there already.
        rows: float16 (m, d), those of the new images.
        probabilities: float32 (m, G), of the model of the groups.
        groups: int32 (G,), the group of each column.
        next_group: the first number that no group has had.

    Returns:
        Columns of ``assignments.parquet``: cluster, confidence (in a proposed group: the cosine to
        its centre), second (there: the existing group it is most like), margin, outlier_score,
        map_x, map_y, (m,) each; and the numbers of the proposed groups, the largest first.
    """
    columns = assignment_columns(probabilities)
    for name in ("cluster", "second"):
        columns[name] = groups[columns[name]].astype(np.int32)
    kept = ~known.outlier
    held = propose_groups(known.rows[kept], known.labels[kept], rows)
    proposed = []
    for part in range(int(held.max(initial=-1)) + 1):
        members = np.flatnonzero(held == part)
        columns["second"][members] = columns["cluster"][members]
        columns["cluster"][members] = next_group + part
        centre = rows[members].mean(axis=0, dtype=np.float32)
        length = max(float(np.linalg.norm(centre)), 1e-12)
        cosine = np.clip(rows[members].astype(np.float32) @ (centre / length), 0, 1)
        columns["confidence"][members] = cosine
        columns["margin"][members] = 0
        proposed.append(next_group + part)
    columns["outlier_score"] = _outlier_scores(known.rows, rows)
    there = np.isfinite(known.xy).all(axis=1)
    xy = np.zeros((len(rows), 2), np.float32)
    if there.any():
        xy = placed_among(map_points(rows), map_points(known.rows[there]), known.xy[there])
    columns["map_x"], columns["map_y"] = xy.T
    return columns, proposed


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
