"""Frozen encoders and the engines that run them."""

from headlight.encoders.base import Encoder
from headlight.encoders.choice import make_engine
from headlight.encoders.engine import Engine, cpu_count
from headlight.encoders.registry import ENCODERS, load_encoder

__all__ = ["ENCODERS", "Encoder", "Engine", "cpu_count", "load_encoder", "make_engine"]
