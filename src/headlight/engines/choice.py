"""The engine for a device: OpenVINO on the CPU, PyTorch elsewhere."""

from __future__ import annotations

import re
import warnings
from importlib.util import find_spec

from headlight.encoders import Encoder, Fusion
from headlight.engines.base import Engine, Unsupported
from headlight.errors import HeadlightError


def make_engines(fusion: Fusion, device: str = "auto") -> list[Engine]:
    """An engine for each part; see `make_engine`."""
    return [make_engine(part, device) for part in fusion.parts]


def make_engine(encoder: Encoder, device: str = "auto") -> Engine:
    """The fastest engine for ``device`` that gives the encoder's features.

    Arguments:
        encoder: what to run.
        device: ``auto`` (every GPU that PyTorch sees, else the CPU; an encoder that is no PyTorch
            module gets the CPU), ``cpu``, ``cuda`` (every GPU) or ``cuda:N`` (one).

    Raises:
        HeadlightError: no such device on this machine, or it can't run the encoder.
    """
    if device != "auto" and not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise HeadlightError(f"unknown device {device!r}: give auto, cpu, cuda or cuda:N")
    gpus = _gpus() if device != "cpu" else 0
    if device == "auto":
        device = "cuda" if gpus and not encoder.convert else "cpu"
    if device == "cpu":
        return _on_cpu(encoder)
    if not gpus:
        raise HeadlightError(f"device {device!r}: PyTorch sees no GPU here; give cpu")
    if encoder.convert:
        raise HeadlightError(f"encoder {encoder.name} runs on the CPU only: give --device cpu")
    chosen = [f"cuda:{n}" for n in range(gpus)] if device == "cuda" else [device]
    if int(chosen[-1].removeprefix("cuda:")) >= gpus:
        raise HeadlightError(f"device {device!r}: this machine has cuda:0 to cuda:{gpus - 1}")
    if len(chosen) > 1:
        from headlight.engines.devices import DevicesEngine

        return DevicesEngine(encoder, chosen)
    from headlight.engines.torch import TorchEngine

    return TorchEngine(encoder, chosen[0])


def _on_cpu(encoder: Encoder) -> Engine:
    if find_spec("openvino"):  # not built for every platform
        from headlight.engines.openvino import OpenVINOEngine

        try:
            return OpenVINOEngine(encoder)
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


def _gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
