"""FiftyOne's import format for classified images: ``data/`` and ``labels.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headlight.export.destination import ExportReport, new_folder
from headlight.export.image_files import Link
from headlight.export.layout import Layout
from headlight.export.streaming import JsonPairs, open_text, rounded, write_object
from headlight.features import Progress
from headlight.runs import Run


def export_fiftyone(
    run: Run, dest: Path, link: Link = "auto", progress: Progress | None = None
) -> ExportReport:
    """Write a ``FiftyOneImageClassificationDataset``: predictions with confidence.

    FiftyOne finds an image by its file name without extension, so files are numbered.
    ``labels.json`` gives each image ``label`` (an index into ``classes``), ``confidence`` and the
    attributes ``cluster`` and ``path``; images marked as outliers have null.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.
        link: ``auto``: hard links to the originals where possible; ``copy``.
        progress: called with the number of images done and their total.

    Returns:
        What was done; missing images are listed.

    Raises:
        HeadlightError: as `export_folders`.
    """
    with new_folder(run, dest) as root:
        layout = Layout(run, link, progress=progress)
        data = root / "data"
        data.mkdir()
        with open_text(root / "labels.json") as stream:
            members = {
                "classes": list(layout.result.names.values()),
                "labels": JsonPairs(_labels(layout, data)),
            }
            write_object(stream, members)
    return layout.report(dest)


def _labels(layout: Layout, data: Path) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Name without extension, and the label of the image."""
    place = {cluster: i for i, cluster in enumerate(layout.result.names)}
    digits = max(6, len(str(len(layout.result.table))))
    for row, file in layout.place(lambda row: data, lambda i: f"{i:0{digits}d}"):
        yield (
            file.stem,
            None
            if row.outlier
            else {
                "label": place[row.cluster],
                "confidence": rounded(row.confidence),
                "attributes": {"cluster": row.cluster, "path": row.path},
            },
        )
