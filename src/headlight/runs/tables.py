"""The tables of a fit: one row per image, one row per cluster."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headlight.runs.projected import centre_of, typical_first

if TYPE_CHECKING:
    from headlight.clustering.quality import ClusterQuality

PROTOTYPES = 12
NEAREST = 3
QUALITIES = ("quality", "cohesion", "separation", "stability")


def assignment_columns(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Cluster, confidence, second choice and margin from probabilities.

    Arguments:
        probabilities: (n, clusters) float32.

    Returns:
        ``cluster`` int32, ``confidence`` (the largest probability) float32, ``second`` int32 and
        ``margin`` (the largest minus the second) float32, each (n,).
    """
    top = np.argmax(probabilities, axis=1)
    rows = np.arange(len(probabilities))
    confidence = probabilities[rows, top]
    rest = probabilities.copy()
    rest[rows, top] = -1
    second = np.argmax(rest, axis=1)
    return {
        "cluster": top.astype(np.int32),
        "confidence": confidence.astype(np.float32),
        "second": second.astype(np.int32),
        "margin": (confidence - rest[rows, second]).astype(np.float32),
    }


def assignments_table(
    paths: pa.Array,
    probabilities: np.ndarray,
    outliers: np.ndarray,
    duplicates: np.ndarray,
    xy: np.ndarray,
) -> pa.Table:
    """``assignments.parquet``: one row per image.

    Arguments:
        paths: (n,) strings.
        probabilities: (n, clusters).
        outliers: (n,) outlier scores.
        duplicates: (n,) groups of near-duplicates, −1 for none.
        xy: (n, 2) float32, of `headlight.runs.map.image_map`.

    Returns:
        Columns path, cluster, confidence, second, margin, outlier_score, duplicates
        (number of a group of near-duplicates, null for none), map_x, map_y.
    """
    columns = assignment_columns(probabilities)
    x, y = xy.T
    data = {
        "path": paths,
        **columns,
        "outlier_score": outliers.astype(np.float32),
        "duplicates": pa.array(duplicates.astype(np.int32), mask=duplicates < 0),
        "map_x": x,
        "map_y": y,
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
        similar centres).
    """
    n_clusters = len(quality.quality)
    cluster = assignments["cluster"].to_numpy()
    confidence = assignments["confidence"].to_numpy()
    paths = assignments["path"]
    of_cluster = members_of(cluster, n_clusters)
    centres = np.stack([centre_of(rows, members) for members in of_cluster])
    between = centres @ centres.T
    np.fill_diagonal(between, -np.inf)
    width = len(str(n_clusters - 1))
    table = []
    for k, members in enumerate(of_cluster):
        typical = typical_first(rows, members, centres[k])[:PROTOTYPES]
        near = [int(j) for j in np.argsort(-between[k], kind="stable")[:NEAREST] if j != k]
        table.append(
            {
                "cluster": k,
                "name": f"cluster-{k:0{width}d}",
                "size": len(members),
                "mean_confidence": float(confidence[members].mean()) if len(members) else None,
                **{name: float(getattr(quality, name)[k]) for name in QUALITIES},
                "prototypes": [paths[int(i)].as_py() for i in typical],
                "nearest": near if len(members) else [],
            }
        )
    schema = pa.schema(
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
    return pa.Table.from_pylist(table, schema=schema)


def members_of(cluster: np.ndarray, n_clusters: int) -> list[np.ndarray]:
    """Rows of each cluster, ascending; those of other numbers are left out."""
    order = np.argsort(cluster, kind="stable")
    bounds = np.searchsorted(cluster[order], np.arange(n_clusters + 1))
    return [order[a:b] for a, b in itertools.pairwise(bounds)]
