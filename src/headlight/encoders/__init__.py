"""Frozen encoders."""

from headlight.encoders.base import Encoder, Encoders
from headlight.encoders.registry import load_encoder, load_encoders, part_names

__all__ = ["Encoder", "Encoders", "load_encoder", "load_encoders", "part_names"]
