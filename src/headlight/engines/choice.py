"""The engine for a device: OpenVINO on the CPU, PyTorch elsewhere."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

from headlight.devices import resolve_devices
from headlight.encoders import Encoder, Encoders
from headlight.engines.base import Engine, Unsupported
from headlight.engines.probe import PRECISIONS
from headlight.errors import HeadlightError


def make_engines(encoders: Encoders, device: str = "auto", precision: str = "auto") -> list[Engine]:
    """An engine for each part; see `make_engine`."""
    return [make_engine(part, device, precision) for part in encoders.parts]


def engines_like(encoders: Encoders, engine: str, device: str = "auto") -> list[Engine]:
    """Engines of the arithmetic of ``engine``, where this machine has it, else as `make_engines`.

    Rounding moves images between clusters: what joins features should be computed as they were.

    Arguments:
        encoders: what computes new features.
        engine: what computed the features, see `engine_name`.
        device: see `make_engine`.
    """
    arithmetic = {name.rpartition("-")[2] for name in engine.split("+")}
    if len(arithmetic) == 1:
        try:
            return make_engines(encoders, device, arithmetic.pop())
        except HeadlightError:
            pass
    return make_engines(encoders, device)


def make_engine(encoder: Encoder, device: str = "auto", precision: str = "auto") -> Engine:
    """The fastest engine for ``device`` that gives the encoder's features.

    Arguments:
        encoder: what to run.
        device: ``auto`` (every GPU that PyTorch sees, else the CPU; an encoder that is no PyTorch
            module gets the CPU), ``cpu``, ``cuda`` (every GPU) or ``cuda:N`` (one).
        precision: ``f32``, ``bf16``, or ``auto``: bf16 where it is faster and the features bear it
            (`headlight.engines.probe.fault`).

    Raises:
        HeadlightError: no such device or arithmetic on this machine, or it can't run the encoder.
    """
    if precision not in ("auto", *PRECISIONS):
        raise HeadlightError(f"--precision {precision}: give auto, {' or '.join(PRECISIONS)}")
    chosen = ["cpu"] if encoder.convert and device == "auto" else resolve_devices(device)
    if chosen == ["cpu"]:
        return _on_cpu(encoder, precision)
    if encoder.convert:
        raise HeadlightError(f"encoder {encoder.name} runs on the CPU only: give --device cpu")
    if len(chosen) > 1 and precision == "auto":
        from headlight.engines.devices import DevicesEngine

        return DevicesEngine(encoder, chosen)
    from headlight.engines.torch import TorchEngine

    return TorchEngine(encoder, chosen[0], precision=None if precision == "auto" else precision)


def _on_cpu(encoder: Encoder, precision: str) -> Engine:
    if find_spec("openvino"):  # not built for every platform
        from headlight.engines.openvino import OpenVINOEngine

        try:
            return OpenVINOEngine(encoder, precision)
        except Unsupported as why:
            if encoder.convert:
                raise HeadlightError(f"encoder {encoder.name} can't be used: {why}") from None
            warnings.warn(
                f"encoder {encoder.name} runs in PyTorch, which is slower: {why}", stacklevel=3
            )
    if encoder.convert:
        raise HeadlightError(f"encoder {encoder.name} needs OpenVINO: pip install openvino")
    from headlight.engines.torch import TorchEngine

    return TorchEngine(encoder, "cpu")
