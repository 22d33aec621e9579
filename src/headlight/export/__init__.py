"""Exports of the edited clusters: folders, tables, data sets for other tools, the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headlight.errors import HeadlightError
from headlight.export.coco import export_coco
from headlight.export.destination import ExportReport
from headlight.export.fiftyone import export_fiftyone
from headlight.export.folders import export_folders
from headlight.export.imagefolder import export_imagefolder
from headlight.export.json_file import export_json
from headlight.export.label_studio import export_label_studio
from headlight.export.model import export_onnx
from headlight.export.tables import export_csv, export_parquet
from headlight.export.yolo import export_yolo
from headlight.runs import Run

EXPORTS: dict[str, Callable[..., ExportReport]] = {
    "folders": export_folders,
    "csv": export_csv,
    "parquet": export_parquet,
    "json": export_json,
    "imagefolder": export_imagefolder,
    "coco": export_coco,
    "yolo": export_yolo,
    "fiftyone": export_fiftyone,
    "label-studio": export_label_studio,
    "onnx": export_onnx,
}
"""What ``headlight export RUN --to NAME DEST`` offers: each takes a run and a destination."""


def export_run(run: Run, to: str, dest: Path, **options: Any) -> ExportReport:
    """Export a run in the format ``to``.

    Arguments:
        run: fitted.
        to: a name in `EXPORTS`.
        dest: folder or file to create.
        options: of that format (``link``, ``val``, ``metadata``, ``prefix``, ``progress``); None
            means the default.

    Returns:
        What was done.

    Raises:
        HeadlightError: there is no such format or option, or the export itself fails.
    """
    if to not in EXPORTS:
        raise HeadlightError(f"--to {to}: give one of {', '.join(EXPORTS)}")
    takes = inspect.signature(EXPORTS[to]).parameters
    given = {name: value for name, value in options.items() if value is not None}
    if "progress" not in takes:  # done at once: nothing to tell
        given.pop("progress", None)
    for name in given:
        if name not in takes:
            having = [k for k, f in EXPORTS.items() if name in inspect.signature(f).parameters]
            option = "--copy" if name == "link" else f"--{name}"
            raise HeadlightError(
                f"{option} goes with --to {', '.join(having) or 'nothing'}, not {to}"
            )
    return EXPORTS[to](run, dest, **given)


__all__ = [
    "EXPORTS",
    "ExportReport",
    "export_coco",
    "export_csv",
    "export_fiftyone",
    "export_folders",
    "export_imagefolder",
    "export_json",
    "export_label_studio",
    "export_onnx",
    "export_parquet",
    "export_run",
    "export_yolo",
]
