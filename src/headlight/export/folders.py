"""One folder a cluster, the images in it: linked where that is possible, else copied."""

from __future__ import annotations

from pathlib import Path

from headlight.export.destination import ExportReport, new_folder
from headlight.export.image_files import Link, folder_names
from headlight.export.layout import Layout
from headlight.export.result import OUTLIERS, Result
from headlight.features import Progress
from headlight.runs import Run

MARKED = -1  # stands for the outliers among the clusters' numbers


def export_folders(
    run: Run, dest: Path, link: Link = "auto", progress: Progress | None = None
) -> ExportReport:
    """Lays the images out as one folder a cluster; the originals stay where they are, untouched.

    An image is a hard link to the original file: no time, no room. But the two then share their
    content, and a program that changes one in place changes both; ``link="copy"`` avoids that.
    Where links can't be made (another disk, images kept in Parquet) images are copied.

    Images that a person marked as outliers are in a folder ``outliers``.

    The folder appears when it is complete; on failure or Ctrl-C nothing is left.

    Arguments:
        run: fitted.
        dest: folder to make; may exist if it is empty.
        link: ``auto`` or ``copy``.
        progress: called with the number of images done and their total.

    Returns:
        What was done; images that have gone since are listed, not fatal.

    Raises:
        HeadlightError: ``dest`` is not free, lies in the run or among the images, can't be
            written, or there is not one image left to export.
    """
    with new_folder(run, dest) as root:
        layout = Layout(run, link, extensions=False, progress=progress)
        folders = _make_folders(layout.result, root)
        for _ in layout.place(lambda row: folders[MARKED if row.outlier else row.cluster]):
            pass
    return layout.report(dest)


def _make_folders(result: Result, root: Path) -> dict[int, Path]:
    """A folder for every cluster that has images, and one for outliers if there are any."""
    names = {cluster: result.names[cluster] for cluster in result.nonempty}
    if any(result.table["outlier"].to_pylist()):
        names[MARKED] = OUTLIERS  # last: a cluster called so keeps its name
    folders = {cluster: root / name for cluster, name in folder_names(names).items()}
    for folder in folders.values():
        folder.mkdir()
    return folders
