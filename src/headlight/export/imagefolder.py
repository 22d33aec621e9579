"""The ``imagefolder`` format of Hugging Face ``datasets``: images with a table of metadata."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

from headlight.errors import HeadlightError
from headlight.export.destination import ExportReport, new_folder
from headlight.export.image_files import Link
from headlight.export.layout import Layout
from headlight.export.streaming import dumped, open_text, rounded
from headlight.features import Progress
from headlight.runs import Run

SPLIT = "train"
COLUMNS = ("file_name", "label", "cluster", "confidence", "outlier", "path")


def export_imagefolder(
    run: Run,
    dest: Path,
    link: Link = "auto",
    metadata: Literal["jsonl", "csv"] = "jsonl",
    progress: Progress | None = None,
) -> ExportReport:
    """Write a folder for ``load_dataset("imagefolder", data_dir=dest)``.

    ``train/metadata.jsonl`` has one row per image: ``file_name``, ``label`` (the cluster's name),
    ``cluster`` (its number), ``confidence``, ``outlier`` (marked by a person; the label is still
    the image's cluster) and ``path``, its name in the source. The files are numbered, because the
    library reads words such as ``test`` in file and folder names as names of splits.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.
        link: ``auto``: hard links to the originals where possible; ``copy``.
        metadata: ``jsonl`` or ``csv``.
        progress: called with the number of images done and their total.

    Returns:
        What was done; missing images are listed.

    Raises:
        HeadlightError: as `export_folders`.
    """
    if metadata not in ("jsonl", "csv"):
        raise HeadlightError(f"metadata {metadata!r}: give jsonl or csv")
    with new_folder(run, dest) as root:
        layout = Layout(run, link, progress=progress)
        split = root / SPLIT
        folders = _make_folders(split, layout.result.names)
        digits = max(6, len(str(len(layout.result.table))))
        placed = layout.place(lambda row: folders[row.cluster], lambda i: f"{i:0{digits}d}")
        with open_text(split / f"metadata.{metadata}") as stream:
            table = csv.DictWriter(stream, COLUMNS)
            if metadata == "csv":
                table.writeheader()
            for row, file in placed:
                values: dict[str, Any] = {
                    "file_name": file.relative_to(split).as_posix(),
                    "label": layout.result.names[row.cluster],
                    "cluster": row.cluster,
                    "confidence": rounded(row.confidence),
                    "outlier": row.outlier,
                    "path": row.path,
                }
                if metadata == "csv":
                    table.writerow(values)
                else:
                    stream.write(dumped(values) + "\n")
    return layout.report(dest)


def _make_folders(split: Path, names: dict[int, str]) -> dict[int, Path]:
    """One folder per cluster, named by its number alone."""
    width = len(str(max(names, default=0)))
    folders = {cluster: split / f"{cluster:0{width}d}" for cluster in names}
    split.mkdir()
    for folder in folders.values():
        folder.mkdir()
    return folders
