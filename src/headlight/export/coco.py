"""COCO's JSON, with one annotation per image: its cluster."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from headlight.export.destination import ExportReport, new_folder
from headlight.export.image_files import Link
from headlight.export.layout import Layout
from headlight.export.result import Row
from headlight.export.streaming import open_text, rounded, write_object
from headlight.features import Progress
from headlight.images.decoding import FORMATS
from headlight.runs import Run


def export_coco(
    run: Run, dest: Path, link: Link = "auto", progress: Progress | None = None
) -> ExportReport:
    """Write ``images/`` and ``annotations.json`` in COCO's format.

    Each cluster is a category (its id is the cluster's number plus 1, because COCO's ids start at
    1). Each image has one annotation, whose box is the whole image and whose ``score`` is the
    confidence. Images marked as outliers are listed without annotation. Width and height are those
    in the file's header, before an EXIF orientation is applied.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.
        link: ``auto``: hard links to the originals where possible; ``copy``.
        progress: called with the number of images done and their total.

    Returns:
        What was done; images that are missing or whose size can't be read are listed.

    Raises:
        HeadlightError: as `export_folders`.
    """
    with new_folder(run, dest) as root:
        layout = Layout(run, link, progress=progress)
        images = root / "images"
        images.mkdir()
        # Images and annotations are two lists in the file and one pass over the images: the
        # second waits on the disk.
        with (root / ".annotations").open("w+", encoding="ascii") as waiting:
            described = _images(layout, images, waiting)
            categories = [
                {"id": cluster + 1, "name": name, "supercategory": "cluster", "cluster": cluster}
                for cluster, name in layout.result.names.items()
            ]
            members = {
                "info": _info(run),
                "licenses": [],
                "categories": categories,
                "images": described,
                "annotations": _annotations(waiting),
            }
            with open_text(root / "annotations.json") as stream:
                write_object(stream, members)
        (root / ".annotations").unlink()
    return layout.report(dest)


def image_size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, from the file's header alone.

    Raises:
        ValueError: the size can't be read.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except Exception as error:  # Pillow's plugins raise almost anything on damaged data
        raise ValueError("its size can't be read") from error


def _info(run: Run) -> dict[str, Any]:
    source = run.info.source.uri
    return {
        "description": f"Clusters of {source}, one category per image",
        "version": "1.0",
        "contributor": "headlight",
        "date_created": run.info.created.isoformat(),
    }


def _images(layout: Layout, folder: Path, waiting: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    """One entry per image; what its annotation needs goes to ``waiting``."""
    for number, (row, file) in enumerate(layout.place(lambda row: folder), 1):
        try:
            width, height = image_size(file)
        except ValueError as error:
            layout.withdraw(row, file, str(error))
            continue
        _note(waiting, number, row, width, height)
        yield {
            "id": number,
            "file_name": file.name,
            "width": width,
            "height": height,
            "path": row.path,
            "outlier": row.outlier,
        }


def _note(waiting: io.TextIOWrapper, number: int, row: Row, width: int, height: int) -> None:
    if not row.outlier:
        score = rounded(row.confidence)
        waiting.write(f"{number} {row.cluster} {width} {height} {score}\n")


def _annotations(waiting: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    waiting.seek(0)
    for number, line in enumerate(waiting, 1):
        image, cluster, width, height = map(int, line.split()[:4])
        yield {
            "id": number,
            "image_id": image,
            "category_id": cluster + 1,
            "bbox": [0, 0, width, height],
            "area": width * height,
            "iscrowd": 0,
            "segmentation": [],
            "score": float(line.split()[4]),
        }
