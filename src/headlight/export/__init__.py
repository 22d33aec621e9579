"""Taking a clustering away: as folders of images, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headlight.export.folders import export_folders
from headlight.export.places import ExportReport
from headlight.export.tables import export_csv, export_parquet
from headlight.runs import Run

EXPORTS: dict[str, Callable[[Run, Path], ExportReport]] = {
    "folders": export_folders,
    "csv": export_csv,
    "parquet": export_parquet,
}
"""What ``headlight export RUN --to NAME DEST`` offers."""

__all__ = ["EXPORTS", "ExportReport", "export_csv", "export_folders", "export_parquet"]
