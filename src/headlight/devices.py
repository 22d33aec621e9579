"""What ``--device`` means on this machine."""

from __future__ import annotations

import re

from headlight.errors import HeadlightError


def resolve_devices(device: str) -> list[str]:
    """The devices to use, as PyTorch names them: ``cpu`` alone, or one or more ``cuda:N``.

    Arguments:
        device: ``auto`` (every GPU that PyTorch sees, else the CPU), ``cpu``, ``cuda`` (every GPU)
            or ``cuda:N`` (one).

    Raises:
        HeadlightError: another word, or no such device on this machine.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise HeadlightError(f"unknown device {device!r}: give auto, cpu, cuda or cuda:N")
    gpus = gpu_count() if device != "cpu" else 0
    if device == "cpu" or (device == "auto" and not gpus):
        return ["cpu"]
    if not gpus:
        raise HeadlightError(f"device {device!r}: PyTorch sees no GPU here; give cpu")
    if device in ("auto", "cuda"):
        return [f"cuda:{number}" for number in range(gpus)]
    number = int(device.removeprefix("cuda:"))
    if number >= gpus:
        raise HeadlightError(f"device {device!r}: this machine has cuda:0 to cuda:{gpus - 1}")
    return [f"cuda:{number}"]


def gpu_count() -> int:
    """GPUs that PyTorch sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
