"""How well clusters, as people have corrected them, match labels known from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from headlight.errors import HeadlightError, first_line
from headlight.evaluation import confusion, read_labels, score
from headlight.review.review import Review
from headlight.runs.files import read_table, write_table
from headlight.runs.run import load_run, locked

LABELS = "labels.parquet"
COLUMNS = {"path": pa.string(), "label": pa.string()}


def evaluate(target: Path, labels: str) -> dict[str, Any]:
    """ACC, NMI and ARI of a run with its edits, or of a file of predictions.

    Arguments:
        target: a run folder, whose ``labels.parquet`` then keeps the labels (columns path, label),
            for the report and the exports; or what `headlight.review.predict_run` wrote.
        labels: see `headlight.evaluation.read_labels`; or ``source``, if the run's source
            carries labels itself.

    Returns:
        acc, nmi, ari; images, unlabelled; edits, how many are in force, of a run only; and
        confusion: classes, clusters, table (classes × clusters counts), matched (class → its
        cluster).

    Raises:
        HeadlightError: no clusters there, or no labels for them.
    """
    review = Review(load_run(target)) if target.is_dir() or not target.exists() else None
    paths, clusters = _clusters(review) if review else _predictions(target)
    if labels != "source":
        known = read_labels(labels, paths)
    elif review is None:
        raise HeadlightError("--labels source goes with a run folder: give the file of labels")
    elif (own := review.run.source.labels()) is None:
        raise HeadlightError(f"the images of {review.run.path} carry no labels of their own")
    else:
        known = own
    rows = [i for i, path in enumerate(paths) if path in known]
    truth = np.array([known[paths[i]] for i in rows])
    found = confusion(truth, clusters[rows])
    result: dict[str, Any] = score(truth, clusters[rows])
    if review:
        with locked(review.run.path):
            kept = {"path": [paths[i] for i in rows], "label": [str(label) for label in truth]}
            write_table(review.run.path / LABELS, pa.table(kept))
        result["edits"] = review.n_edits
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


def known_labels(review: Review) -> tuple[np.ndarray, list[str]] | None:
    """The labels that `evaluate` left in the run; None where there are none for its images.

    Returns:
        rows of the run's assignments, int64 (m,), and their labels.

    Raises:
        HeadlightError: the file is damaged.
    """
    file = review.run.path / LABELS
    if not file.is_file():
        return None
    table = read_table(file, COLUMNS)
    known = dict(zip(table["path"].to_pylist(), table["label"].to_pylist(), strict=True))
    paths = review.run.assignments["path"].to_pylist()
    rows = [i for i, path in enumerate(paths) if known.get(path) is not None]
    return (np.array(rows), [known[paths[i]] for i in rows]) if rows else None


def known_scores(review: Review) -> dict[str, float]:
    """acc, nmi and ari of the clusters as they are now, against `known_labels`; or empty."""
    if (found := known_labels(review)) is None:
        return {}
    rows, labels = found
    return score(np.array(labels), review.labels[rows])


def _clusters(review: Review) -> tuple[list[str], np.ndarray]:
    return review.run.assignments["path"].to_pylist(), review.labels


def _predictions(file: Path) -> tuple[list[str], np.ndarray]:
    """Paths and clusters of a file of predictions, of the images that have a cluster."""
    if file.suffix == ".csv":
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        try:
            table = pyarrow.csv.read_csv(file, parse_options=options)
        except (OSError, pa.ArrowException) as error:
            raise HeadlightError(f"{file} can't be read: {first_line(error)}") from error
    else:
        table = read_table(file)
    if not {"path", "cluster"} <= set(table.column_names):
        raise HeadlightError(f"{file} has no columns path and cluster: give a run or predictions")
    table = table.filter(pc.is_valid(table["cluster"]))
    if not len(table):
        raise HeadlightError(f"{file} has no image with a cluster")
    return table["path"].to_pylist(), table["cluster"].to_numpy()
