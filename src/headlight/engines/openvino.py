"""Encoding on the CPU with OpenVINO: asynchronous requests keep every core busy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from headlight.encoders.base import Encoder
from headlight.engines.base import Engine
from headlight.engines.conversion import compiled_encoder, encoded


class OpenVINOEngine(Engine):
    """One image per request, one stream per core.

    Requests of one image are as fast as larger ones here, for convolutions and transformers alike
    (measured: `docs/performance.md`), and make an image's features independent of its neighbours
    in a batch. Arithmetic is bfloat16 where it is faster and the features bear it, else float32.

    Arguments:
        encoder: what to run.
        precision: ``auto``, ``f32`` or ``bf16``.

    Raises:
        Unsupported: OpenVINO can't run it, or does not give the features PyTorch gives.
        HeadlightError: the encoder itself can't be loaded.
    """

    def __init__(self, encoder: Encoder, precision: str = "auto") -> None:
        self._model, chosen = compiled_encoder(encoder, precision)
        self.name = f"openvino-{chosen}"

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`."""
        return encoded(self._model, images)
