"""The folders that YOLO's classification training reads: train and val, one folder per cluster."""

from __future__ import annotations

import hashlib
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.export.destination import ExportReport, new_folder
from headlight.export.image_files import Link, folder_names
from headlight.export.layout import Layout
from headlight.export.result import Result, Row
from headlight.features import Progress
from headlight.runs import Run


def export_yolo(
    run: Run,
    dest: Path,
    link: Link = "auto",
    val: float = 0.2,
    progress: Progress | None = None,
) -> ExportReport:
    """Write ``train/CLUSTER/`` and ``val/CLUSTER/``; give ``dest`` to training as ``data``.

    ``val`` gets the share ``val`` of each cluster, rounded: at least one image and not all, if
    there are two or more. The split depends on a hash of the paths only, so it is the same every
    time. Images marked as outliers are left out.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.
        link: ``auto``: hard links to the originals where possible; ``copy``.
        val: share of each cluster held out for validation, above 0 and below 1.
        progress: called with the number of images done and their total.

    Returns:
        What was done; missing images are listed.

    Raises:
        HeadlightError: as `export_folders`; or ``val`` is out of range.
    """
    if not 0 < val < 1:
        raise HeadlightError(f"val {val}: give a share above 0 and below 1")
    with new_folder(run, dest) as root:
        layout = Layout(run, link, progress=progress)
        held_out = validation_paths(layout.result, val)
        # Both have every cluster, even an empty one: classes are numbered by folder.
        folders = {split: _make_folders(root / split, layout.result) for split in ("train", "val")}

        def where(row: Row) -> Path | None:
            split = "val" if row.path in held_out else "train"
            return None if row.outlier else folders[split][row.cluster]

        for _ in layout.place(where):
            pass
    return layout.report(dest)


def validation_paths(result: Result, val: float) -> set[str]:
    """The images held out.

    Arguments:
        edited: the result.
        val: share of each cluster, above 0 and below 1.
    """
    groups: dict[int, list[tuple[bytes, str]]] = {}
    for row in result.rows():
        if not row.outlier:
            groups.setdefault(row.cluster, []).append((_digest(row.path), row.path))
    held_out: set[str] = set()
    for members in groups.values():
        count = min(max(round(len(members) * val), 1), len(members) - 1)
        held_out.update(path for _, path in sorted(members)[:count])
    return held_out


def _digest(path: str) -> bytes:
    return hashlib.blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _make_folders(split: Path, result: Result) -> dict[int, Path]:
    names = folder_names({cluster: result.names[cluster] for cluster in result.nonempty})
    folders = {cluster: split / name for cluster, name in names.items()}
    for folder in folders.values():
        folder.mkdir(parents=True)
    return folders
