"""The report's pictures: all of them, and no more than fit in one file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from headlight.explore.report.sprite_sheet import Sheet
from headlight.features import Progress
from headlight.images import ImageSource
from headlight.images.source import natural_key
from headlight.images.thumbnail import TINY, Thumbnail, encoded, read_image, square, thumbnail

SIDE = 128  # pixels: shown at some 64 to 130, sharp enough on a dense screen
QUALITY = 75
WORKERS = min(4, os.cpu_count() or 1)  # each may hold one whole decoded image
AHEAD = 256  # images decoded and not yet taken at most


def make_thumbnails(
    source: ImageSource | None,
    paths: Iterable[str],
    progress: Progress | None = None,
    sheet: Sheet | None = None,
) -> Mapping[str, Thumbnail]:
    """Thumbnails of the images named; only a few originals are in memory at a time.

    Arguments:
        source: holds the images; None if it has gone: every image is then a placeholder.
        paths: of images; one named twice is read once.
        progress: told the number of images drawn and their total.
        sheet: filled in passing: an image on both is decoded once.

    Returns:
        Path → thumbnail, for every path.
    """
    # In the order the source keeps them: a row group of a Parquet file is then decoded once.
    wanted = set(paths)
    cells = set(sheet.paths) if sheet else set()
    ordered = sorted(wanted | cells, key=natural_key)
    found: dict[str, Thumbnail] = {}

    def drawn(path: str) -> tuple[Thumbnail, Image.Image | None]:
        return _drawn(source, path, path in wanted, sheet.side if sheet and path in cells else 0)

    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(ordered), AHEAD):
            part: Sequence[str] = ordered[start : start + AHEAD]
            for done, (path, (made, cell)) in enumerate(
                zip(part, pool.map(drawn, part), strict=True), start + 1
            ):
                if path in wanted:
                    found[path] = made
                if sheet and cell:
                    sheet.put(path, cell, made.tiny)
                if progress:
                    progress(done, len(ordered))
    return found


def shrunk(thumbnails: Mapping[str, Thumbnail], most: int) -> Mapping[str, Thumbnail]:
    """The same pictures, made smaller where all together are more than ``most`` characters.

    Photographs are far below; noise and text are what compresses badly.
    """
    for side, quality in ((SIDE, 60), (96, 60), (64, 60), (64, 30), (32, 30)):
        if sum(len(made.uri) for made in thumbnails.values()) <= most:
            break
        thumbnails = {
            path: made if made.tiny or not made.data else _smaller(made, side, quality)
            for path, made in thumbnails.items()
        }
    return thumbnails


def _drawn(
    source: ImageSource | None, path: str, wanted: bool, cell: int
) -> tuple[Thumbnail, Image.Image | None]:
    """The thumbnail, and the picture for a cell of so many pixels, if any."""
    image, problem = read_image(source, path, SIDE if wanted else cell)
    if image is None:
        return Thumbnail(problem=problem), None
    made = Thumbnail(tiny=max(image.size) <= TINY)
    if wanted:
        made = thumbnail(image, _encoded)
    return made, square(image, min(cell, max(image.size))) if cell else None


def _encoded(image: Image.Image) -> bytes:
    return encoded(square(image, SIDE), "WEBP", quality=QUALITY)


def _smaller(large: Thumbnail, side: int, quality: int) -> Thumbnail:
    with Image.open(io.BytesIO(large.data), formats=["WEBP", "JPEG"]) as image:
        return Thumbnail(encoded(square(image, side), "WEBP", quality=quality))
