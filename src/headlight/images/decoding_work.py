"""The cost of decoding an image, estimated from its file before any pixel is decoded."""

from __future__ import annotations

import math
import re

from PIL import Image

# The end of entropy-coded data: a marker that is neither a stuffed zero nor a restart.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_SOI, _SOS, _EOI = 0xD8, 0xDA, 0xD9
# Pillow decodes these in Python, byte by byte: text PNM files and run-length BMP files.
_SLOW_DECODERS = ("ppm_plain", "bmp_rle")


def tile_pixels(image: Image.Image) -> int:
    """Pixels of one tile of a TIFF: a whole one is decoded even where the image is smaller."""
    across, down = _tile_size(image)
    return across * down


def pixels_decoded(image: Image.Image, data: bytes) -> int:
    """Pixels that pass through the decoder, counted each time they do.

    More than the image has where the tiles of a TIFF reach beyond it, and where a progressive
    JPEG has many scans: a file of some kilobytes can take hours.

    Arguments:
        image: opened, not loaded.
        data: its file.
    """
    width, height = image.size
    across, down = _tile_size(image)
    if across > 0 and down > 0:
        return math.ceil(width / across) * math.ceil(height / down) * across * down
    if image.format == "JPEG" and image.info.get("progressive"):
        return width * height * _scans(data)
    return width * height


def decodes_slowly(image: Image.Image) -> bool:
    """Whether Pillow has only a decoder in Python for it: seconds for every 10 MB."""
    return any(tile[0] in _SLOW_DECODERS for tile in getattr(image, "tile", ()))


def _tile_size(image: Image.Image) -> tuple[int, int]:
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(322, 0)), int(tags.get(323, 0))


def _scans(data: bytes) -> int:
    """Scan of the first image in a JPEG file."""
    scans, at = 0, 0
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            break
        scans += marker == _SOS
        if marker != _SOI:
            at += int.from_bytes(data[at : at + 2], "big")
    return scans
