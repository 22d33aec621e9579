"""Images: their sources, decoding, and augmented views."""

from headlight.images.augmentation import augment
from headlight.images.decoding import DecodeLimits, decode
from headlight.images.open import open_source
from headlight.images.source import BadImage, ImageRef, ImageSource

__all__ = [
    "BadImage",
    "DecodeLimits",
    "ImageRef",
    "ImageSource",
    "augment",
    "decode",
    "open_source",
]
