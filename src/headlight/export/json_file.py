"""The whole result as one JSON file: the run, its clusters, its images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headlight.export.destination import ExportReport, new_file
from headlight.export.result import ROWS, Result
from headlight.export.streaming import write_object
from headlight.export.tables import named_assignments
from headlight.review.evaluating import known_scores
from headlight.runs import Run


def export_json(run: Run, dest: Path) -> ExportReport:
    """Write one JSON object: ``run``, ``clusters`` and ``images``.

    ``run`` holds source, encoder, fit, versions and scores; ``clusters`` has one object per cluster
    (cluster, name, size, mean_confidence, prototypes, nearest, quality figures, done); ``images``
    one object per image, each on its own line, with the columns of the Parquet export. Missing and
    non-finite numbers are null.

    Arguments:
        run: fitted.
        dest: the file; must not exist.

    Returns:
        What was done.

    Raises:
        HeadlightError: ``dest`` exists, lies in the run or among the images, or can't be written.
    """
    with new_file(run, dest) as temporary, temporary.open("w", encoding="utf-8") as stream:
        result = Result(run)
        about = {"created", "source", "encoder", "fit", "versions"}
        members = {
            "format": "headlight-export",
            "version": 1,
            "run": run.info.model_dump(mode="json", include=about, exclude_none=True),
            "scores": known_scores(result.review),
            "edits": result.review.n_edits,
            "clusters": iter([plain(row) for row in result.review.clusters().to_pylist()]),
            "images": _images(run),
        }
        write_object(stream, members)
    return ExportReport(dest, len(result.table))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row as JSON can represent it: non-finite floats become None."""
    return {
        key: None if isinstance(value, float) and not abs(value) < float("inf") else value
        for key, value in row.items()
    }


def _images(run: Run) -> Iterator[dict[str, Any]]:
    for batch in named_assignments(run).to_batches(max_chunksize=ROWS):
        yield from map(plain, batch.to_pylist())
