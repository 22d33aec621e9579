"""Frozen encoders."""

from headlight.encoders.base import Encoder
from headlight.encoders.fusion import Fusion, load_fusion, part_names
from headlight.encoders.registry import load_encoder

__all__ = ["Encoder", "Fusion", "load_encoder", "load_fusion", "part_names"]
