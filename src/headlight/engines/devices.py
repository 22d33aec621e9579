"""Encoding on several devices of one machine: a thread each, batches handed round in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice

import numpy as np

from headlight.encoders.base import Encoder
from headlight.engines.base import Engine
from headlight.engines.torch import TorchEngine

BATCHES_A_CHUNK = 4  # inside a chunk copies overlap computing
CHUNKS_AHEAD = 2  # a device: one is computed, the next is there already


class DevicesEngine(Engine):
    """`TorchEngine` on several devices, each in its own thread: PyTorch computes without the GIL.

    Images go out in chunks, to one device after the other, and features come back in the order of
    the images. Each thread runs the same batches as one device alone would: features are the same,
    to the last bit, on devices of one kind. One stream of images at a time.

    Arguments:
        encoder: what to run.
        devices: as PyTorch names them.
        batch_size: images a batch; see `TorchEngine`.
    """

    def __init__(
        self, encoder: Encoder, devices: Sequence[str], batch_size: int | None = None
    ) -> None:
        self._engines = [TorchEngine(encoder, device, batch_size) for device in devices]
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"headlight-{device}") for device in devices
        ]
        self._chunk = BATCHES_A_CHUNK * min(engine.batch_size for engine in self._engines)
        self.name = "+".join(dict.fromkeys(engine.name for engine in self._engines))

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`."""
        stream = iter(images)
        turn = cycle(zip(self._engines, self._threads, strict=True))
        running: deque[Future[list[np.ndarray]]] = deque()
        try:
            while chunk := list(islice(stream, self._chunk)):
                if len(running) == CHUNKS_AHEAD * len(self._engines):
                    yield from running.popleft().result()
                engine, thread = next(turn)
                running.append(thread.submit(_encoded, engine, chunk))
            while running:
                yield from running.popleft().result()
        finally:
            for left in running:  # left early
                left.cancel()


def _encoded(engine: TorchEngine, images: list[np.ndarray]) -> list[np.ndarray]:
    return list(engine.encode(images))
