"""Bytes to RGB pixels, safely: limits are checked before anything is decoded."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from headlight.images.decoding_work import decodes_slowly, pixels_decoded, tile_pixels
from headlight.images.file_types import why_unsupported
from headlight.images.source import BadImage

# Raster formats only: Pillow would hand EPS to Ghostscript, and decode video-like containers.
_WANTED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "ICO", "AVIF")
Image.init()
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)  # builds of Pillow differ


@dataclass(frozen=True)
class DecodeLimits:
    """Limits on the cost of one image.

    Arguments:
        file_bytes: largest file read.
        pixels: most pixels held in memory; a JPEG, decoded at reduced size, may be larger on disk.
        pixels_a_byte: most pixels per byte of the file, in images above `SMALL_PIXELS`; more than
            any photograph or scan has.
        decoded_pixels: most pixels decoded, counted each time they are: about 10 s.
        slow_bytes: largest file in a format with a decoder in Python only: about 5 s.
        total_bytes: memory for decoding, shared by all threads.
    """

    file_bytes: int = 256 * 2**20
    pixels: int = 100_000_000
    pixels_a_byte: int = 2_000
    decoded_pixels: int = 5_000_000_000
    slow_bytes: int = 16 * 2**20
    total_bytes: int = 2 * 2**30


SMALL_PIXELS = 4_000_000
# Bytes a pixel costs at most while it is decoded, copies for upright and for 8-bit RGB included.
_BYTES_A_PIXEL = {"L": 2, "1": 2, "P": 18, "PA": 18, "RGBA": 16, "LA": 20, "I": 14, "F": 14}
_OTHER_BYTES_A_PIXEL = 12


class _Budget:
    """Lets threads decode at the same time as long as their images fit in memory together."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spent = 0

    @contextmanager
    def spend(self, cost: int, total: int) -> Iterator[None]:
        """Wait until ``cost`` bytes are free; an image that costs more than the total waits to be
        alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._spent or self._spent + cost <= total)
            self._spent += cost
        try:
            yield
        finally:
            with self._changed:
                self._spent -= cost
                self._changed.notify_all()


_budget = _Budget()


def decode(data: bytes, min_side: int, limits: DecodeLimits | None = None) -> Image.Image:
    """Decode an image file to upright 8-bit RGB.

    EXIF orientation is applied. Transparency becomes white. Greyscale with more than 8 bits
    (microscopy, X-ray) is stretched from its own darkest to its own brightest value. Animations are
    represented by their first frame. JPEG is decoded at 1/2, 1/4 or 1/8 of its size if at least
    ``min_side`` pixels remain on both sides.

    Arguments:
        data: the file's bytes, which determine the format.
        min_side: pixels that the shorter side keeps, if it has so many.
        limits: limits on the cost; the default `DecodeLimits` if omitted.

    Returns:
        An RGB image.

    Raises:
        BadImage: it is not an image, is damaged, or exceeds ``limits``.
    """
    limits = limits or DecodeLimits()
    if not data:
        raise BadImage("empty: the file has no bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            # A progressive JPEG holds all its coefficients in memory, whatever size is asked for.
            if image.format == "JPEG" and not image.info.get("progressive"):
                image.draft("RGB", _draft_size(width, height, min_side))
            pixels = max(image.width * image.height, tile_pixels(image))
            if pixels > limits.pixels:
                raise BadImage(_too_many_pixels(width, height, limits))
            if pixels > max(SMALL_PIXELS, len(data) * limits.pixels_a_byte):
                raise BadImage(
                    f"damaged or blank: {len(data):,} bytes are too few for {width} × {height} "
                    "pixels"
                )
            if pixels_decoded(image, data) > limits.decoded_pixels:
                raise BadImage("damaged or hostile: decoding it would take too long")
            if len(data) > limits.slow_bytes and decodes_slowly(image):
                raise BadImage(
                    f"a text or run-length file over {limits.slow_bytes / 2**20:.0f} MiB: "
                    "save it as PNG"
                )
            cost = pixels * _BYTES_A_PIXEL.get(image.mode.split(";")[0], _OTHER_BYTES_A_PIXEL)
            with _budget.spend(cost, limits.total_bytes):
                image.load()
                return _rgb(_upright(image))
    except UnidentifiedImageError:
        raise BadImage(why_unsupported(data) or "not an image, or of an unknown format") from None
    except Image.DecompressionBombError as error:
        raise BadImage(f"too many pixels: {error}".split(", could")[0]) from None
    except MemoryError:
        raise BadImage("not enough memory to decode it") from None
    except BadImage:
        raise
    except Exception as error:
        # Pillow's plugins raise almost anything on damaged data (SyntaxError, struct.error, …).
        text = " ".join(str(error).split()) or type(error).__name__
        raise BadImage(f"damaged: {text}") from None


def _draft_size(width: int, height: int, min_side: int) -> tuple[int, int]:
    # Pillow picks the largest reduction that still covers the size asked for on both axes.
    scale = max(min_side / width, min_side / height)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _too_many_pixels(width: int, height: int, limits: DecodeLimits) -> str:
    megapixels = width * height / 1e6
    return (
        f"too many pixels: {width} × {height} = {megapixels:.0f} megapixels, "
        f"the limit is {limits.pixels / 1e6:.0f}"
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the pixels are still good
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        return _stretch(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _stretch(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = np.empty(values.shape, np.uint8)
    # A megapixel at a time: copies of the whole in floating point would cost many times the image.
    blocks = np.array_split(np.arange(len(values)), max(1, values.size // 2**20))
    low, high = np.inf, -np.inf
    for rows in blocks:
        finite = values[rows][np.isfinite(values[rows])]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        raise BadImage("no finite pixel values")
    for rows in blocks:
        block = values[rows].astype(np.float64)
        block[~np.isfinite(block)] = low
        grey[rows] = (block - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(grey).convert("RGB")
