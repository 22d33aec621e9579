"""Scores clusters against known labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from headlight.errors import HeadlightError
from headlight.evaluation import confusion, read_labels, score
from headlight.runs.files import read_table, write_json, write_table
from headlight.runs.run import load_run, locked


def evaluate(target: Path, labels: str) -> dict[str, Any]:
    """ACC, NMI and ARI of a run, or of a file of predictions.

    Arguments:
        target: a run folder, or a file written by `headlight.runs.predict_run`. In a run folder,
            the scores are added to ``run.json`` and the labels (columns path, label) to
            ``labels.parquet``, for the report.
        labels: see `headlight.evaluation.read_labels`; or ``source``, if the run's source has
            labels.

    Returns:
        acc, nmi, ari; images, unlabelled; and confusion: classes, clusters, table (classes ×
        clusters counts), matched (class → its cluster).

    Raises:
        HeadlightError: there are no clusters, or no labels for them.
    """
    run = load_run(target) if target.is_dir() or not target.exists() else None
    table = run.assignments if run else _predictions(target)
    paths = table["path"].to_pylist()
    if labels == "source":
        if run is None:
            raise HeadlightError("--labels source needs a run folder: give a file of labels")
        known = run.source.labels()
        if known is None:
            raise HeadlightError(f"the source of {run.path} has no labels")
    else:
        known = read_labels(labels, paths)
    rows = [i for i, path in enumerate(paths) if path in known]
    truth = np.array([known[paths[i]] for i in rows])
    clusters = table["cluster"].to_numpy()[rows]
    found = confusion(truth, clusters)
    result: dict[str, Any] = score(truth, clusters)
    if run:
        with locked(run.path):
            info = load_run(run.path).info
            info["scores"] |= {name: round(value, 4) for name, value in result.items()}
            kept = {"path": [paths[i] for i in rows], "label": [str(label) for label in truth]}
            write_table(run.path / "labels.parquet", pa.table(kept))
            write_json(run.path / "run.json", info)
    return result | {
        "images": len(rows),
        "unlabelled": len(paths) - len(rows),
        "confusion": {
            "classes": found.classes.tolist(),
            "clusters": found.clusters.tolist(),
            "table": found.table.tolist(),
            "matched": {
                str(found.classes[r]): int(found.clusters[c]) for r, c in found.matching.tolist()
            },
        },
    }


def _predictions(file: Path) -> pa.Table:
    """The rows of a file of predictions that have a cluster."""
    if file.suffix == ".csv":
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        table = pyarrow.csv.read_csv(file, parse_options=options)
    else:
        table = read_table(file)
    if not {"path", "cluster"} <= set(table.column_names):
        raise HeadlightError(f"{file} has no columns path and cluster: give a run or predictions")
    table = table.filter(pc.is_valid(table["cluster"]))
    if not len(table):
        raise HeadlightError(f"{file} has no image with a cluster")
    return table
