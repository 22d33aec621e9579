"""Small pictures of images, encoded for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageOps, ImageStat

from headlight.images.decoding import DecodeLimits, decode
from headlight.images.source import BadImage, ImageSource

TINY = 48  # pixels: an original no larger is kept exactly
CROP = 1.6  # `square` cuts at most this factor off the long side
KINDS = {b"\x89PN": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIF": "image/webp"}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded picture, or why there is none.

    Arguments:
        data: PNG, JPEG or WebP; empty if there is none.
        tiny: its pixels should be shown as squares.
        problem: "gone" or "unreadable" if there is none.
    """

    data: bytes = b""
    tiny: bool = False
    problem: str = ""

    @property
    def kind(self) -> str:
        """Media type of ``data``."""
        return media_type(self.data)

    @property
    def uri(self) -> str:
        """A ``data:`` URI; empty if there is no picture."""
        return data_uri(self.data) if self.data else ""


def make_thumbnail(
    source: ImageSource | None,
    path: str,
    min_side: int,
    encode: Callable[[Image.Image], bytes],
) -> Thumbnail:
    """The picture of an image; whatever is wrong with it, no error.

    Arguments:
        source: holds the image; None if it is gone.
        path: of the image.
        min_side: pixels that ``encode`` needs along the shorter side, if the image has them.
        encode: gives the picture of a decoded image; a tiny one is kept as it is.
    """
    image, problem = read_image(source, path, min_side)
    return thumbnail(image, encode) if image else Thumbnail(problem=problem)


def read_image(
    source: ImageSource | None, path: str, min_side: int
) -> tuple[Image.Image | None, str]:
    """An image, RGB, of which `thumbnail` may be made; if None, why: "gone" or "unreadable"."""
    if source is None:
        return None, "gone"
    try:
        data = source.read(path, DecodeLimits().file_bytes)
        return decode(data, max(min_side, TINY + 1)), ""
    except BadImage as error:
        return None, "gone" if error.gone else "unreadable"
    except Exception:  # whatever else a source may raise: one picture less
        return None, "unreadable"


def thumbnail(image: Image.Image, encode: Callable[[Image.Image], bytes]) -> Thumbnail:
    """As `make_thumbnail`, of what `read_image` gave."""
    if max(image.size) <= TINY:
        return Thumbnail(encoded(image, "PNG"), tiny=True)
    return Thumbnail(encode(image))


def within(image: Image.Image, side: int, longest: int) -> Image.Image:
    """The whole image, its shorter side ``side`` pixels, the other at most ``longest``."""
    scale = min(1, max(side / min(image.size), 1 / max(image.size)), longest / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)


def square(image: Image.Image, side: int) -> Image.Image:
    """The middle of an image; a very oblong one goes on between bars of its edges' colours."""
    width, height = image.size
    wide, high = min(width, max(height, width / CROP)), min(height, max(width, height / CROP))
    scale = min(1, side / max(wide, high))
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    width, height = size
    side = max(size)
    whole = Image.new("RGB", (side, side))
    left, top = (side - width) // 2, (side - height) // 2
    if height < side:
        ends = (0, 0, side, 1), (0, height - 1, side, height)
        bars = (0, 0, side, top), (0, top, side, side)
    else:
        ends = (0, 0, 1, side), (width - 1, 0, width, side)
        bars = (0, 0, left, side), (left, 0, side, side)
    for end, bar in zip(ends, bars, strict=True):
        mean = ImageStat.Stat(image.crop(end)).mean
        whole.paste(tuple(round(value) for value in mean), bar)
    whole.paste(image, (left, top))
    return whole


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """A file.

    Arguments:
        image: RGB.
        form: ``PNG``, ``JPEG`` or ``WEBP``, which is JPEG where Pillow has none.
        options: Pillow's, of that form.
    """
    if form == "WEBP" and form not in Image.SAVE:
        form = "JPEG"
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def media_type(data: bytes) -> str:
    """Of what `encoded` made."""
    return KINDS.get(data[:3], "application/octet-stream")


def data_uri(data: bytes) -> str:
    """What `encoded` made as text, inside a page."""
    return f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"
