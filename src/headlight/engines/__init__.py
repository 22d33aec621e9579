"""Engines run encoders: OpenVINO on the CPU, PyTorch elsewhere."""

from headlight.engines.base import Engine, cpu_count, engine_name
from headlight.engines.choice import engines_like, make_engine, make_engines

__all__ = ["Engine", "cpu_count", "engine_name", "engines_like", "make_engine", "make_engines"]
