"""Images: their sources, decoding, and augmented views."""

from headlight.images.augmentation import augment
from headlight.images.data_uri import data_uri
from headlight.images.decoding import DecodeLimits, decode
from headlight.images.open import open_source
from headlight.images.source import BadImage, ImageRef, ImageSource

__all__ = [
    "BadImage",
    "DecodeLimits",
    "ImageRef",
    "ImageSource",
    "augment",
    "data_uri",
    "decode",
    "open_source",
]
