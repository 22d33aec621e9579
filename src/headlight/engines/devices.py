"""Encoding on several devices of one machine: one process each, batches handed round in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import Any, BinaryIO, cast

import numpy as np

from headlight.encoders.base import Encoder
from headlight.engines.base import Engine
from headlight.engines.messages import ERROR, FEATURES, IMAGES, READY, receive, send
from headlight.errors import HeadlightError

BATCHES_A_CHUNK = 4  # inside a chunk copies overlap computing
CHUNKS_AHEAD = 2  # a device: one is computed, the next is there already


class DevicesEngine(Engine):
    """`TorchEngine` on several devices, each in its own process.

    Images go out in chunks, to one device after the other, and features come back in the order of
    the images. Each process runs the same batches as one device alone would: features are the
    same, to the last bit, on devices of one kind. One stream of images at a time.

    Arguments:
        encoder: what to run; `load_encoder` must load it from its name.
        devices: as PyTorch names them.
        batch_size: images a batch; see `TorchEngine`.

    Raises:
        HeadlightError: a device can't run it.
    """

    def __init__(
        self, encoder: Encoder, devices: Sequence[str], batch_size: int | None = None
    ) -> None:
        self._workers = [_Worker(encoder, device, batch_size) for device in devices]
        ready = [worker.ready(encoder) for worker in self._workers]
        self._chunk = BATCHES_A_CHUNK * min(one["batch_size"] for one in ready)
        self._dim = encoder.dim
        self.name = "+".join(dict.fromkeys(one["name"] for one in ready))

    @property
    def processes(self) -> list[int]:
        """Ids of the processes."""
        return [worker.process.pid for worker in self._workers]

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`.

        Raises:
            HeadlightError: one of the processes ended.
        """
        stream = iter(images)
        turn = cycle(self._workers)
        running: deque[_Worker] = deque()
        try:
            while chunk := list(islice(stream, self._chunk)):
                if len(running) == CHUNKS_AHEAD * len(self._workers):
                    yield from running.popleft().features(self._dim)
                worker = next(turn)
                worker.send(chunk)
                running.append(worker)
            while running:
                yield from running.popleft().features(self._dim)
        finally:
            # Left early: what is under way must not be taken for the next stream's.
            with suppress(HeadlightError):
                while running:
                    running.popleft().features(self._dim)


class _Worker:
    """This side of the process that runs ``headlight.engines.worker``."""

    def __init__(self, encoder: Encoder, device: str, batch_size: int | None) -> None:
        self._device = device
        # Not multiprocessing: it would run the user's script again, and it pickles.
        command = [sys.executable, "-P", "-m", "headlight.engines.worker", encoder.name, device]
        self.process = subprocess.Popen(  # noqa: S603 - this Python, and no shell
            [*command, str(batch_size or 0)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self._in = cast("BinaryIO", self.process.stdin)
        self._out = cast("BinaryIO", self.process.stdout)
        weakref.finalize(self, _end, self.process)

    def ready(self, encoder: Encoder) -> dict[str, Any]:
        """Wait until the process has loaded the encoder; return its engine's name and batch."""
        answer = json.loads(self._receive(READY))
        if answer["weights_hash"] != encoder.weights_hash:
            raise HeadlightError(f"{encoder.name}: its weights changed on disk while it was loaded")
        return answer

    def send(self, images: list[np.ndarray]) -> None:
        """Give the process images to encode."""
        try:
            send(self._in, IMAGES, *images)
        except OSError:
            raise self._ended() from None

    def features(self, dim: int) -> list[np.ndarray]:
        """Wait for the features of the images sent first, (dim,) float32 each."""
        return list(np.frombuffer(self._receive(FEATURES), np.float32).reshape(-1, dim))

    def _receive(self, wanted: bytes) -> bytes:
        kind, payload = receive(self._out)
        if kind == wanted:
            return payload
        if kind == ERROR:
            raise HeadlightError(payload.decode())
        raise self._ended()

    def _ended(self) -> HeadlightError:
        code = self.process.wait()
        return HeadlightError(
            f"the process that encodes on {self._device} ended unexpectedly (exit code {code}): "
            "run the same command again to resume"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            pipe.close()  # type: ignore[union-attr]
