"""Messages between `DevicesEngine` and its processes: a kind, a length, and bytes."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

READY, IMAGES, FEATURES, ERROR, END = b"r", b"i", b"f", b"e", b"."
_HEAD = struct.Struct("<cq")


def send(stream: BinaryIO, kind: bytes, *parts: bytes | np.ndarray) -> None:
    """Write one message.

    Arguments:
        stream: a pipe.
        kind: one of the constants here.
        parts: the contents, one after the other.

    Raises:
        OSError: nobody reads any more.
    """
    views = [part if isinstance(part, bytes) else _bytes(part) for part in parts]
    stream.write(_HEAD.pack(kind, sum(len(view) for view in views)))
    for view in views:
        stream.write(view)
    stream.flush()


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).data.cast("B")


def receive(stream: BinaryIO) -> tuple[bytes, bytes]:
    """Read one message.

    Returns:
        Its kind and contents; `END` when the other side is gone, even within a message.
    """
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return END, b""
    kind, length = _HEAD.unpack(head)
    payload = stream.read(length)
    return (kind, payload) if len(payload) == length else (END, b"")
