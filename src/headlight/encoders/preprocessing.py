"""How images are made ready for a network, read from the file its authors publish with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from headlight.errors import HeadlightError

Colour = tuple[float, float, float]

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)
CLIP_MEAN: Colour = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Colour = (0.26862954, 0.26130258, 0.27577711)
HALF: Colour = (0.5, 0.5, 0.5)

# Processors of transformers whose ``size``, where it is one number, is that of the shorter side;
# to the others it is both sides of a square.
_SHORTER_SIDE = ("CLIP", "Bit", "ConvNext", "PoolFormer", "Levit")
# What some processors do besides, and headlight does not.
_NOT_DONE = ("do_flip_channel_order", "rescale_offset", "include_top", "do_pad")


@dataclass(frozen=True)
class Preprocessing:
    """From an image to what a network sees.

    Arguments:
        input_size: side of the square image, pixels.
        mean: taken from each channel, of values from 0 to 1.
        std: what each channel is then divided by.
        crop: see `Encoder.crop`.
        squash: see `Encoder.squash`.
        resample: see `Encoder.resample`.
    """

    input_size: int = 224
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    crop: float = 1.0
    squash: bool = False
    resample: Image.Resampling = Image.Resampling.BICUBIC

    def at(self, size: int | None) -> Preprocessing:
        """The same for another side of the image; None: for this one."""
        return self if size is None else replace(self, input_size=size)

    @property
    def views(self) -> dict[str, Any]:
        """The fields that `Encoder` has too."""
        names = ("input_size", "crop", "squash", "resample")
        return {name: getattr(self, name) for name in names}


# Of networks trained on ImageNet: 256 pixels, and of these the central 224.
IMAGENET = Preprocessing(crop=0.875)


def read_preprocessing(folder: Path, default: Preprocessing) -> Preprocessing:
    """What ``preprocessor_config.json`` says, or the part for images of ``processor_config.json``.

    Arguments:
        folder: that of the checkpoint.
        default: where there is no such file, or it does not say.

    Raises:
        HeadlightError: it is damaged, or asks for what is not done here: an image that is not
            square, or a crop larger than the image.
    """
    file = folder / "preprocessor_config.json"
    if file.is_file():
        said = read_json(file)
    else:
        file = folder / "processor_config.json"
        said = (read_json(file).get("image_processor") if file.is_file() else None) or {}
    try:
        return _understood(said, default)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise HeadlightError(f"{file}: can't be followed: {error}") from None


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        HeadlightError: it can't be read, or holds none.
    """
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HeadlightError(f"{file}: can't be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise HeadlightError(f"{file}: holds no JSON object")
    return value


def _understood(said: dict[str, Any], default: Preprocessing) -> Preprocessing:
    kind = str(said.get("image_processor_type") or said.get("feature_extractor_type") or "")
    for name in _NOT_DONE:
        if said.get(name):
            raise ValueError(f"{name} is not done here")
    resample = said.get("resample")
    mean, std = _colours(said, default)
    changed = replace(
        default,
        mean=mean,
        std=std,
        resample=default.resample if resample is None else Image.Resampling(resample),
    )
    if said.get("size") is None:
        return changed
    side, square = _size(said["size"], kind)
    if kind.startswith(("ConvNext", "Levit")):  # these crop without being told to
        if kind.startswith("ConvNext") and side >= 384:
            return replace(changed, input_size=side, crop=1.0, squash=True)
        crop = side / int(side / said.get("crop_pct", 224 / 256))
        return replace(changed, input_size=side, crop=crop, squash=False)
    if not said.get("do_center_crop", "crop_size" in said) or said.get("crop_size") is None:
        return replace(changed, input_size=side, crop=1.0, squash=square)
    if said.get("crop_pct"):
        side = int(side / said["crop_pct"])
    cropped, _ = _size(said["crop_size"], kind)
    if cropped > side or (square and cropped < side):
        what = "a crop larger than the image" if cropped > side else "a crop of a squashed image"
        raise ValueError(f"{what}, {cropped} of {side} pixels, is not done here")
    return replace(changed, input_size=cropped, crop=cropped / side, squash=square)


def _colours(said: dict[str, Any], default: Preprocessing) -> tuple[Colour, Colour]:
    """Mean and deviation of values from 0 to 1, whatever the file scales pixels to."""
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if said.get("do_normalize") is not False:
        mean = _three(said.get("image_mean"), default.mean)
        std = _three(said.get("image_std"), default.std)
    if min(std) <= 0:
        raise ValueError(f"image_std {list(std)}: give numbers above 0")
    scale = 1.0 if said.get("do_rescale") is False else said.get("rescale_factor") or 1 / 255
    factor = 255 * scale
    if abs(factor - 1) < 1e-6:
        return mean, std
    return _three([value / factor for value in mean], mean), _three([v / factor for v in std], std)


def _three(value: Any, default: Colour) -> Colour:
    if value is None:
        return default
    red, green, blue = (value,) * 3 if isinstance(value, int | float) else map(float, value)
    return red, green, blue


def _size(value: Any, kind: str) -> tuple[int, bool]:
    """Pixels, and whether they are of both sides of a square and not of the shorter side."""
    if isinstance(value, dict):
        if value.get("shortest_edge"):
            return _pixels(value["shortest_edge"]), False
        height, width = value["height"], value["width"]
    elif isinstance(value, int):
        return _pixels(value), not kind.startswith(_SHORTER_SIDE)
    else:
        height, width = value
    if height != width:
        raise ValueError(f"images of {width} × {height} pixels: only square ones are made here")
    return _pixels(height), True


def _pixels(value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"a size of {value!r} pixels")
    return value
