"""Frozen encoders and the engines that run them."""

from headlight.encoders.base import Encoder
from headlight.encoders.choice import make_engine
from headlight.encoders.engine import Engine, cpu_count
from headlight.encoders.fusion import Fusion, engine_name, load_fusion, part_names
from headlight.encoders.registry import load_encoder

__all__ = [
    "Encoder",
    "Engine",
    "Fusion",
    "cpu_count",
    "engine_name",
    "load_encoder",
    "load_fusion",
    "make_engine",
    "part_names",
]
