"""Small pictures of images, as data URIs; what can't be read says so instead."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageOps, ImageStat

from headlight.features import Progress
from headlight.images import BadImage, DecodeLimits, ImageSource, decode

SIDE = 128  # pixels: shown at some 64 to 130, sharp enough on a dense screen
TINY = 48  # an original no larger than this is shown with its pixels as squares
CROP = 1.6  # the long side loses at most this factor; what is still oblong then gets a border
QUALITY = 75
WORKERS = min(4, os.cpu_count() or 1)  # each may hold one whole decoded image


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
    source: ImageSource | None, paths: Iterable[str], progress: Progress | None = None
) -> Mapping[str, Thumbnail]:
    """Thumbnails of the images named; only a few originals are in memory at a time.

    Arguments:
        source: holds the images; None if it has gone: every image is then a placeholder.
        paths: of images; one named twice is read once.
        progress: told the number of thumbnails done and their total.

    Returns:
        Path → thumbnail, for every path.
    """
    # In the order the source keeps them: a row group of a Parquet file is then decoded once.
    ordered = sorted(set(paths), key=natural_key)
    if source is None:
        return dict.fromkeys(ordered, Thumbnail(problem="gone"))
    done: dict[str, Thumbnail] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for path, thumbnail in zip(
            ordered, pool.map(lambda p: _thumbnail(source, p), ordered), strict=True
        ):
            done[path] = thumbnail
            if progress:
                progress(len(done), len(ordered))
    return done


def natural_key(path: str) -> list[tuple[int, str]]:
    """Sorts ``file#9`` before ``file#10``."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


def _thumbnail(source: ImageSource, path: str) -> Thumbnail:
    try:
        image = decode(source.read(path, DecodeLimits().file_bytes), SIDE)
        return Thumbnail(*_encoded(image))
    except BadImage as error:
        gone = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
        return Thumbnail(problem="gone" if gone else "unreadable")
    except Exception:  # whatever else a source may raise: a picture is not worth the report
        return Thumbnail(problem="unreadable")


def _encoded(image: Image.Image) -> tuple[str, bool]:
    """The image as a data URI, and whether it is tiny."""
    if max(image.size) <= TINY:
        return _uri(image, "PNG"), True  # exact, and at this size no larger than WebP
    return _uri(_square(image), "WEBP" if "WEBP" in Image.SAVE else "JPEG"), False


def _square(image: Image.Image) -> Image.Image:
    """The middle of an image; a very oblong one goes on between bars of its edges' colours."""
    width, height = image.size
    wide, high = min(width, max(height, width / CROP)), min(height, max(width, height / CROP))
    scale = min(1, SIDE / max(wide, high))
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


def _uri(image: Image.Image, form: str) -> str:
    stream = io.BytesIO()
    image.save(stream, form, quality=QUALITY)
    return f"data:image/{form.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
