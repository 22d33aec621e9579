"""The process that `DevicesEngine` starts for one device: images in, features out.

    python -m headlight.engines.worker ENCODER DEVICE BATCH_SIZE

It ends when its input does, so it never outlives who started it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import BinaryIO

import numpy as np

from headlight.engines.messages import END, ERROR, FEATURES, READY, receive, send
from headlight.errors import HeadlightError


def main() -> None:
    """Serve until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this
    # Whatever a library prints must not come between the messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    name, device, batch_size = sys.argv[1:]
    try:
        _serve(sys.stdin.buffer, out, name, device, int(batch_size) or None)
    except BrokenPipeError:
        pass
    except HeadlightError as error:
        send(out, ERROR, str(error).encode())


def _serve(into: BinaryIO, out: BinaryIO, name: str, device: str, batch_size: int | None) -> None:
    from headlight.encoders.registry import load_encoder
    from headlight.engines.torch import TorchEngine

    encoder = load_encoder(name)
    engine = TorchEngine(encoder, device, batch_size)
    shape = (-1, encoder.input_size, encoder.input_size, 3)
    about = {
        "name": engine.name,
        "batch_size": engine.batch_size,
        "weights_hash": encoder.weights_hash,
    }
    send(out, READY, json.dumps(about).encode())
    # Read in a thread: who sends must never wait for who computes, else both might wait for ever.
    chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(into, chunks), daemon=True).start()
    while (chunk := chunks.get()) is not None:
        images = np.frombuffer(chunk, np.uint8).reshape(shape)
        send(out, FEATURES, *engine.encode(images))


def _read(into: BinaryIO, chunks: queue.SimpleQueue[bytes | None]) -> None:
    while True:
        kind, payload = receive(into)
        chunks.put(None if kind == END else payload)
        if kind == END:
            return


if __name__ == "__main__":
    main()
