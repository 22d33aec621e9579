"""Bytes to RGB pixels, safely: limits are checked before anything is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from headlight.images.source import BadImage

# Raster formats only: Pillow would hand EPS to Ghostscript, and decode video-like containers.
_WANTED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "ICO", "AVIF")
Image.init()
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)  # builds of Pillow differ


@dataclass(frozen=True)
class DecodeLimits:
    """What one image may cost.

    Arguments:
        file_bytes: largest file read.
        pixels: most pixels held in memory; a JPEG, decoded at reduced size, may be larger on disk.
    """

    file_bytes: int = 256 * 2**20
    pixels: int = 100_000_000


def decode(data: bytes, min_side: int, limits: DecodeLimits | None = None) -> Image.Image:
    """Decodes an image file to upright 8-bit RGB.

    EXIF orientation is applied. Transparency is laid on white. Greyscale deeper than 8 bits
    (microscopy, X-ray) is stretched from its own darkest to its own brightest value. Of an
    animation the first frame counts. JPEG is decoded at 1/2, 1/4 or 1/8 size where that leaves
    at least ``min_side`` pixels on both sides.

    Arguments:
        data: the file's bytes; its format is found in them, not in a name.
        min_side: pixels that the shorter side must keep, if it has them.
        limits: what the image may cost; the default `DecodeLimits` if left out.

    Returns:
        An RGB image.

    Raises:
        BadImage: it is no image, is damaged, or would cost more than ``limits`` allow.
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
            if image.width * image.height > limits.pixels:
                raise BadImage(_too_many_pixels(width, height, limits))
            image.load()
            return _rgb(_upright(image))
    except UnidentifiedImageError:
        raise BadImage("not an image, or of an unknown format") from None
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
    values = np.asarray(image, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        raise BadImage("no finite pixel values")
    low, high = values[finite].min(), values[finite].max()
    grey = (np.where(finite, values, low) - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
