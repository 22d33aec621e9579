"""Small pictures of images, as data URIs; what can't be read says so instead."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageOps, ImageStat

from headlight.explore.report.sprite_sheet import Sheet
from headlight.features import Progress
from headlight.images import BadImage, DecodeLimits, ImageSource, data_uri, decode

SIDE = 128  # pixels: shown at some 64 to 130, sharp enough on a dense screen
TINY = 48  # an original no larger than this is shown with its pixels as squares
CROP = 1.6  # the long side loses at most this factor; what is still oblong then gets a border
QUALITY = 75
WORKERS = min(4, os.cpu_count() or 1)  # each may hold one whole decoded image
AHEAD = 256  # images decoded and not yet taken at most


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What stands for one image in the report.

    Arguments:
        uri: ``data:`` URI; empty if there is nothing to show.
        tiny: the original is so small that its pixels should be shown as squares.
        problem: why there is nothing to show: one or two words.
    """

    uri: str = ""
    tiny: bool = False
    problem: str = ""


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
    if source is None:
        return dict.fromkeys(ordered, Thumbnail(problem="gone"))
    found: dict[str, Thumbnail] = {}

    def drawn(path: str) -> tuple[Thumbnail, Image.Image | None]:
        return _drawn(source, path, path in wanted, sheet.side if sheet and path in cells else 0)

    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(ordered), AHEAD):
            part: Sequence[str] = ordered[start : start + AHEAD]
            for done, (path, (thumbnail, cell)) in enumerate(
                zip(part, pool.map(drawn, part), strict=True), start + 1
            ):
                if path in wanted:
                    found[path] = thumbnail
                if sheet and cell:
                    sheet.put(path, cell, thumbnail.tiny)
                if progress:
                    progress(done, len(ordered))
    return found


def shrunk(thumbnails: Mapping[str, Thumbnail], most: int) -> Mapping[str, Thumbnail]:
    """The same pictures, made smaller where all together are more than ``most`` characters.

    Photographs are far below; noise and text are what compresses badly.
    """
    for side, quality in ((SIDE, 60), (96, 60), (64, 60), (64, 30), (32, 30)):
        if sum(len(thumbnail.uri) for thumbnail in thumbnails.values()) <= most:
            break
        thumbnails = {
            path: thumbnail
            if thumbnail.tiny or not thumbnail.uri
            else Thumbnail(_smaller(thumbnail.uri, side, quality))
            for path, thumbnail in thumbnails.items()
        }
    return thumbnails


def _smaller(uri: str, side: int, quality: int) -> str:
    data = base64.b64decode(uri.partition(",")[2])
    with Image.open(io.BytesIO(data), formats=["WEBP", "JPEG"]) as image:
        image.thumbnail((side, side))
        return data_uri(image, "WEBP", quality)


def natural_key(path: str) -> list[tuple[int, str]]:
    """Sort ``file#9`` before ``file#10``."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


def _drawn(
    source: ImageSource, path: str, wanted: bool, cell: int
) -> tuple[Thumbnail, Image.Image | None]:
    """The thumbnail, and the picture for a cell of so many pixels, if any."""
    try:
        image = decode(source.read(path, DecodeLimits().file_bytes), SIDE if wanted else cell)
        tiny = max(image.size) <= TINY
        thumbnail = Thumbnail(_uri(image, tiny) if wanted else "", tiny)
        return thumbnail, _square(image, min(cell, max(image.size))) if cell else None
    except BadImage as error:
        gone = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
        return Thumbnail(problem="gone" if gone else "unreadable"), None
    except Exception:  # whatever else a source may raise: a picture is not worth the report
        return Thumbnail(problem="unreadable"), None


def _uri(image: Image.Image, tiny: bool) -> str:
    if tiny:
        return data_uri(image, "PNG", QUALITY)  # exact, and at this size no larger than WebP
    return data_uri(_square(image, SIDE), "WEBP", QUALITY)


def _square(image: Image.Image, side: int) -> Image.Image:
    """The middle of an image; a very oblong one goes on between bars of its edges' colours."""
    width, height = image.size
    wide, high = min(width, max(height, width / CROP)), min(height, max(width, height / CROP))
    scale = min(1, side / max(wide, high))
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    width, height = size
    side = max(size)
    square = Image.new("RGB", (side, side))
    left, top = (side - width) // 2, (side - height) // 2
    if height < side:
        ends = (0, 0, side, 1), (0, height - 1, side, height)
        bars = (0, 0, side, top), (0, top, side, side)
    else:
        ends = (0, 0, 1, side), (width - 1, 0, width, side)
        bars = (0, 0, left, side), (left, 0, side, side)
    for end, bar in zip(ends, bars, strict=True):
        square.paste(_mean(image, end), bar)
    square.paste(image, (left, top))
    return square


def _mean(image: Image.Image, box: tuple[int, int, int, int]) -> tuple[int, ...]:
    return tuple(round(value) for value in ImageStat.Stat(image.crop(box)).mean)
