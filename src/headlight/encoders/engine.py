"""Engines run encoders: OpenVINO on the CPU, PyTorch elsewhere."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

import numpy as np

from headlight.encoders.base import Encoder
from headlight.errors import HeadlightError


class Engine(ABC):
    """Runs one encoder on one device."""

    name: str
    """Engine and arithmetic, such as ``openvino-f32``: kept with the features it made."""

    @abstractmethod
    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Features of a stream of images, in its order, reading some images ahead.

        An image's features don't depend on the images around it, to the last bit.

        Arguments:
            images: each (size, size, 3) uint8, RGB.

        Returns:
            One (dim,) float32 vector an image.
        """


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


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
