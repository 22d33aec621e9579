"""The interface of engines."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


class Unsupported(Exception):  # noqa: N818 - not a failure: another engine may do
    """An engine can't run an encoder, or not correctly; the message says why."""


class Engine(ABC):
    """Runs one encoder on one device."""

    name: str
    """Engine and arithmetic, such as ``openvino-f32``: kept with the features it made."""

    @abstractmethod
    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Features of a stream of images, in its order, reading some images ahead.

        An image's features don't depend on the other images, to the last bit.

        Arguments:
            images: each (size, size, 3) uint8, RGB.

        Returns:
            One (dim,) float32 vector per image.
        """


def engine_name(engines: Sequence[Engine]) -> str:
    """What computed the features, for the store: each engine once."""
    return "+".join(dict.fromkeys(engine.name for engine in engines))


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
