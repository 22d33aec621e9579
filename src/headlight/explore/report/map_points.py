"""The map of the report: places, clusters, names and pictures of its points, in little space."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headlight.explore.report.sprite_sheet import CELLS, Sheet
from headlight.runs.map import fair_sample

POINTS = 100_000  # points on the map at most
NAMES = 3_000_000  # compressed bytes of all file names at most; beyond, pictured images have one
NO_PICTURE = 0xFFFF


@dataclass(frozen=True, slots=True)
class MapPoints:
    """What the map shows.

    Arguments:
        rows: of the assignments, the images that have a point, sorted.
        pictured: of ``rows``, positions of those that have a picture if it can be read, sorted.
        images: in the run.
    """

    rows: np.ndarray
    pictured: np.ndarray
    images: int
    assignments: pa.Table
    sheet: Sheet


def choose_points(assignments: pa.Table) -> MapPoints:
    """Choose the images that are points, and those of them that get a picture.

    Arguments:
        assignments: of `headlight.review.review.Review.assignments`.

    Returns:
        All images up to `POINTS`, all pictures up to `CELLS`; beyond, a fair sample: every cluster
        keeps its share, and some images at least.
    """
    labels = assignments["cluster"].to_numpy()
    rows = fair_sample(labels, POINTS)
    pictured = fair_sample(labels[rows], CELLS)
    paths = assignments["path"].take(pa.array(rows[pictured])).to_pylist()
    return MapPoints(rows, pictured, len(labels), assignments, Sheet(paths))


def map_data(points: MapPoints, clusters: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page's script needs, ready for JSON.

    Arguments:
        points: whose sheet is filled.
        clusters: cluster, name and colour of every cluster.

    Returns:
        ``packed``: base64 of gzip of uint16 little-endian x, y, cluster (its position in
        ``clusters``) and picture (cell of the sheet, or 0xFFFF), n values each, then JSON of the
        n file names (null where left out). Beside it count, clusters, sheet.
    """
    table = points.assignments.take(pa.array(points.rows))
    place = {row["cluster"]: i for i, row in enumerate(clusters)}
    picture = np.full(len(table), NO_PICTURE, np.uint16)
    there = np.array(points.sheet.there, bool)
    uri, side = points.sheet.encoded()
    if uri:
        picture[points.pictured[there]] = np.flatnonzero(there)
    columns = [
        *_quantised(table["map_x"].to_numpy(), table["map_y"].to_numpy()),
        np.array([place[c] for c in table["cluster"].to_pylist()], np.uint16),
        picture,
    ]
    names = table["path"].to_pylist()
    packed = _packed(columns, names)
    if len(packed) > NAMES:
        shown = picture != NO_PICTURE
        packed = _packed(columns, [n if s else None for n, s in zip(names, shown, strict=True)])
    return {
        "count": len(table),
        "packed": base64.b64encode(packed).decode(),
        "clusters": [[row["cluster"], row["name"], row["colour"]] for row in clusters],
        "sheet": {
            "uri": uri, "side": side, "columns": points.sheet.columns, "tiny": points.sheet.tiny
        },
    }  # fmt: skip


def _quantised(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as uint16 on one scale, y upwards as in a plot."""
    xy = np.nan_to_num(np.stack([x, -y]).astype(np.float64))
    low = xy.min(1, keepdims=True)
    extent = max(float((xy.max(1, keepdims=True) - low).max()), 1e-12)
    scaled = np.round((xy - low) / extent * 0xFFFF).astype(np.uint16)
    return scaled[0], scaled[1]


def _packed(columns: list[np.ndarray], names: list[str | None]) -> bytes:
    data = b"".join(column.astype("<u2").tobytes() for column in columns)
    # The time in a gzip header would make two reports of one run differ.
    return gzip.compress(data + json.dumps(names).encode(), 9, mtime=0)
