"""Images: their sources, decoding, and augmented views."""

from headlight.images.augmentation import augment
from headlight.images.decoding import DecodeLimits, decode
from headlight.images.listing import ImageRef, image_id, image_ref
from headlight.images.open import open_source
from headlight.images.source import BadImage, ImageSource, content_hash

__all__ = [
    "BadImage",
    "DecodeLimits",
    "ImageRef",
    "ImageSource",
    "augment",
    "content_hash",
    "decode",
    "image_id",
    "image_ref",
    "open_source",
]
