"""One folder per cluster, with links to its images, or copies where links are impossible."""

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
    """Write one folder per cluster; the originals are not touched.

    Images are hard links to the original files, which take no time and no space. But both are the
    same file, and a program that edits one in place edits both; ``link="copy"`` avoids that. Where
    links are impossible (another disk, images in Parquet) images are copied.

    Images that a person marked as outliers are in a folder ``outliers``.

    The folder appears when it is complete; after a failure or Ctrl-C nothing is left.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.
        link: ``auto`` or ``copy``.
        progress: called with the number of images done and their total.

    Returns:
        What was done; missing images are listed.

    Raises:
        HeadlightError: ``dest`` is not free, lies in the run or among the images, or can't be
            written; or no image can be exported.
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
