"""Encoding on the CPU with OpenVINO: asynchronous requests keep every core busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from headlight.encoders.base import Encoder
from headlight.engines.base import Engine, cpu_count
from headlight.engines.conversion import compiled_encoder


class OpenVINOEngine(Engine):
    """One image per request, one stream per core.

    Requests of one image are as fast as larger ones here, for convolutions and transformers alike
    (measured: `docs/performance.md`), and make an image's features independent of its neighbours
    in a batch. Arithmetic is bfloat16 where the CPU has it and the features bear it, else float32.

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
        self._requests = 2 * cpu_count()

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`."""
        idle = deque(self._model.create_infer_request() for _ in range(self._requests))
        running: deque[Any] = deque()
        for image in images:
            if not idle:
                request = running.popleft()
                yield _result(request)
                idle.append(request)
            request = idle.popleft()
            request.start_async({0: image[None]})
            running.append(request)
        while running:
            yield _result(running.popleft())


def _result(request: Any) -> np.ndarray:
    request.wait()
    return request.get_output_tensor(0).data[0].astype(np.float32)
