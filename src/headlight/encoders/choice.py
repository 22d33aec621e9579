"""The engine for a device: OpenVINO on the CPU, PyTorch elsewhere."""

from __future__ import annotations

from importlib.util import find_spec

from headlight.encoders.base import Encoder
from headlight.encoders.engine import Engine
from headlight.errors import HeadlightError


def make_engine(encoder: Encoder, device: str = "auto") -> Engine:
    """The fastest engine for ``device``.

    Arguments:
        encoder: what to run.
        device: ``auto`` (a GPU if PyTorch sees one, else the CPU), ``cpu``, ``cuda`` or
            ``cuda:N``.

    Raises:
        HeadlightError: no such device on this machine.
    """
    if device == "auto":
        device = "cuda" if _cuda() else "cpu"
    if device == "cpu" and find_spec("openvino"):  # not built for every platform
        from headlight.encoders.openvino import OpenVINOEngine

        return OpenVINOEngine(encoder)
    if device != "cpu" and not device.startswith("cuda"):
        raise HeadlightError(f"unknown device {device!r}: give auto, cpu, cuda or cuda:N")
    if device != "cpu" and not _cuda():
        raise HeadlightError(f"device {device!r}: PyTorch sees no GPU here; give cpu")
    from headlight.encoders.torch import TorchEngine

    return TorchEngine(encoder, device)


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
