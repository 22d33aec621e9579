"""Augmented views: random crops, flips, colour jitter and blur, which should not change the
cluster."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter, ImageStat

# Half as strong as MoCo v2's (arXiv:2003.04297, appendix: area from 0.2, colours ± 0.4, hue 0.1,
# blur one in two), which move an image to another class where colour or the whole shape tells the
# classes apart (docs/research-notes.md). Without its random greyscale, which the SCP paper does
# not name.
CROP_AREA = (0.5, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
BRIGHTNESS = CONTRAST = SATURATION = 0.2
HUE = 0.03  # of a full turn
JITTER_PROBABILITY = 0.8
BLUR_PROBABILITY = 0.2
BLUR_RADIUS = (0.1, 2.0)  # pixels of the finished view, at 224

_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([_LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def augment(image: Image.Image, size: int, image_id: int, view: int) -> Image.Image:
    """One augmented view: random resized crop, horizontal flip, colour jitter, Gaussian blur.

    Everything random is drawn from a generator seeded with ``(image_id, view)``: neither order,
    nor batch size, nor the number of workers changes a pixel.

    Arguments:
        image: RGB.
        size: side of the square result, pixels.
        image_id: a number that tells the image from others, 64 bits.
        view: 1 for the first augmented view.

    Returns:
        RGB, ``size`` × ``size``.
    """
    rng = np.random.default_rng([image_id % 2**64, view])
    crop = _random_crop(image.width, image.height, rng)
    out = image.resize((size, size), Image.Resampling.BICUBIC, box=crop, reducing_gap=3.0)
    if rng.random() < 0.5:
        out = out.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < JITTER_PROBABILITY:
        out = out.convert("RGB", _jitter(out, rng))
    if rng.random() < BLUR_PROBABILITY:
        radius = rng.uniform(*BLUR_RADIUS) * size / 224
        out = out.filter(ImageFilter.GaussianBlur(radius))
    return out


def _random_crop(
    width: int, height: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A box of random area and aspect ratio inside the image, in pixels and their fractions."""
    area = width * height * rng.uniform(*CROP_AREA)
    ratio = math.exp(rng.uniform(*np.log(CROP_RATIO)))
    w = min(width, math.sqrt(area * ratio))
    h = min(height, math.sqrt(area / ratio))
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return x, y, x + w, y + h


def _jitter(image: Image.Image, rng: np.random.Generator) -> tuple[float, ...]:
    """Brightness, contrast, saturation and hue, as the one affine map of colours they make.

    Each is affine in RGB (hue turns the chroma plane of YIQ), so one pass over the pixels does
    all four.
    """
    brightness = rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS)
    contrast = rng.uniform(1 - CONTRAST, 1 + CONTRAST)
    saturation = rng.uniform(1 - SATURATION, 1 + SATURATION)
    angle = rng.uniform(-HUE, HUE) * 2 * math.pi
    turn = np.diag([1.0, 0, 0])
    turn[1:, 1:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    hue = _FROM_YIQ @ turn @ _TO_YIQ
    colour = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _LUMA)
    matrix = brightness * contrast * (hue @ colour)
    grey = brightness * float(_LUMA @ ImageStat.Stat(image).mean)
    offset = (1 - contrast) * grey
    return tuple(np.column_stack([matrix, np.full(3, offset)]).ravel().tolist())
