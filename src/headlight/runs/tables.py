"""The tables of a fit: one row per image, one row per cluster."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headlight.runs.image_keys import COLUMN
from headlight.runs.projected import centre_of, typical_first

if TYPE_CHECKING:
    from headlight.clustering.quality import ClusterQuality

PROTOTYPES = 12
NEAREST = 3
JOINED, PROPOSED = "joined", "proposed"  # columns of fits that updates made
QUALITIES = ("quality", "cohesion", "separation", "stability")
CLUSTERS = pa.schema(
    [
        ("cluster", pa.int32()),
        ("name", pa.string()),
        ("size", pa.int64()),
        ("mean_confidence", pa.float32()),
        *((name, pa.float32()) for name in QUALITIES),
        ("prototypes", pa.list_(pa.string())),
        ("nearest", pa.list_(pa.int32())),
    ]
)


def assignment_columns(
    probabilities: np.ndarray, best: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Cluster, confidence, second choice and margin from probabilities.

    Arguments:
        probabilities: (n, clusters) float32.
        best: int (n,), the clusters chosen; None: the most probable ones.

    Returns:
        ``cluster`` int32, ``confidence`` (its probability) float32, ``second`` (the most probable
        other one) int32 and ``margin`` (that of the cluster minus that of the second, at least 0)
        float32, each (n,).
    """
    top = np.argmax(probabilities, axis=1) if best is None else best
    rows = np.arange(len(probabilities))
    rest = probabilities.copy()
    rest[rows, top] = -1
    second = np.argmax(rest, axis=1)
    both = np.stack([probabilities[rows, top], rest[rows, second]], axis=1)
    return columns_of_two(np.stack([top, second], axis=1), both)


def columns_of_two(clusters: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """The same columns, of `SCP.best_two`: integers (n, 2) and float32 (n, 2)."""
    return {
        "cluster": clusters[:, 0].astype(np.int32),
        "confidence": probabilities[:, 0].astype(np.float32),
        "second": clusters[:, 1].astype(np.int32),
        "margin": np.maximum(probabilities[:, 0] - probabilities[:, 1], 0).astype(np.float32),
    }


def assignments_table(
    paths: pa.Array,
    images: pa.Array,
    columns: dict[str, np.ndarray],
    *,
    outliers: np.ndarray,
    duplicates: np.ndarray,
    xy: np.ndarray,
) -> pa.Table:
    """``assignments.parquet``: one row per image.

    Arguments:
        paths: (n,) strings.
        images: (n,) keys, of `headlight.runs.image_keys`.
        columns: of `assignment_columns`.
        outliers: (n,) outlier scores.
        duplicates: (n,) groups of near-duplicates, −1 for none.
        xy: (n, 2) float32, of `headlight.runs.map.image_map`.

    Returns:
        Columns path, cluster, confidence, second, margin, outlier_score, duplicates
        (number of a group of near-duplicates, null for none), map_x, map_y, image. A fit that an
        update made has a column joined, too: when an update brought the image, null for those
        there from the beginning.
    """
    x, y = xy.T
    data = {
        "path": paths,
        **columns,
        "outlier_score": outliers.astype(np.float32),
        "duplicates": pa.array(duplicates.astype(np.int32), mask=duplicates < 0),
        "map_x": x,
        "map_y": y,
        COLUMN: images,
    }
    return pa.table(data)


def clusters_table(assignments: pa.Table, rows: np.ndarray, quality: ClusterQuality) -> pa.Table:
    """``clusters.parquet``: one row per cluster.

    Arguments:
        assignments: of `assignments_table`.
        rows: float16 (n, d), of `headlight.runs.projected.project`, in the same order.
        quality: of each of the K clusters.

    Returns:
        Columns cluster, name, size, mean_confidence (null if empty), quality, cohesion, separation,
        stability (0 to 1, see `headlight.clustering.quality`), prototypes (paths of the
        images nearest to the cluster's centre, nearest first), nearest (clusters with the most
        similar centres). A fit that an update made has a column proposed, too, bool.
    """
    n_clusters = len(quality.quality)
    table = cluster_rows(assignments, rows, range(n_clusters))
    for row in table:
        row |= {name: float(getattr(quality, name)[row["cluster"]]) for name in QUALITIES}
    return pa.Table.from_pylist(table, schema=CLUSTERS)


def cluster_rows(
    assignments: pa.Table, rows: np.ndarray, numbers: Sequence[int]
) -> list[dict[str, Any]]:
    """What `clusters_table` says of these clusters, but for their quality.

    Arguments:
        assignments, rows: as there.
        numbers: of the clusters, ascending; each image is in one of them.
    """
    cluster = np.searchsorted(numbers, assignments["cluster"].to_numpy())
    confidence = assignments["confidence"].to_numpy()
    paths = assignments["path"]
    of_cluster = members_of(cluster, len(numbers))
    centres = np.stack([centre_of(rows, members) for members in of_cluster])
    between = centres @ centres.T
    np.fill_diagonal(between, -np.inf)
    table = []
    for k, members in enumerate(of_cluster):
        typical = typical_first(rows, members, centres[k])[:PROTOTYPES]
        near = [numbers[j] for j in np.argsort(-between[k], kind="stable")[:NEAREST] if j != k]
        table.append(
            {
                "cluster": numbers[k],
                "name": default_name(numbers[k], numbers[-1] + 1),
                "size": len(members),
                "mean_confidence": float(confidence[members].mean()) if len(members) else None,
                "prototypes": [paths[int(i)].as_py() for i in typical],
                "nearest": near if len(members) else [],
            }
        )
    return table


def numbered(
    assignments: pa.Table, clusters: pa.Table, numbers: np.ndarray
) -> tuple[pa.Table, pa.Table]:
    """Both tables with other numbers for the clusters.

    Arguments:
        assignments, clusters: of `assignments_table` and `clusters_table`.
        numbers: int32 (K,), for cluster 0 to K − 1.
    """
    for column in ("cluster", "second"):
        place = assignments.schema.get_field_index(column)
        found = numbers[assignments[column].to_numpy()].astype(np.int32)
        assignments = assignments.set_column(place, column, pa.array(found))
    rows = clusters.to_pylist()
    for row in rows:
        row["cluster"] = int(numbers[row["cluster"]])
        row["name"] = default_name(row["cluster"], int(numbers.max()) + 1)
        row["nearest"] = [int(numbers[k]) for k in row["nearest"]]
    rows.sort(key=lambda row: row["cluster"])
    return assignments, pa.Table.from_pylist(rows, schema=clusters.schema)


def default_name(cluster: int, n_clusters: int) -> str:
    """What a cluster is called until a person names it, of even length up to ``n_clusters``."""
    return f"cluster-{cluster:0{len(str(n_clusters - 1))}d}"


def members_of(cluster: np.ndarray, n_clusters: int) -> list[np.ndarray]:
    """Rows of each cluster, ascending; those of other numbers are left out."""
    order = np.argsort(cluster, kind="stable")
    bounds = np.searchsorted(cluster[order], np.arange(n_clusters + 1))
    return [order[a:b] for a, b in itertools.pairwise(bounds)]
