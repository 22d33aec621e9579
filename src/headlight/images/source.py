"""Where images come from: one small interface, whatever holds the bytes."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


class BadImage(Exception):  # noqa: N818 - not a failure of the program: a verdict on one image
    """One image can't be used.

    Arguments:
        reason: what a person reads in the quarantine.
        gone: it is no longer there.
    """

    def __init__(self, reason: str, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


@dataclass(frozen=True)
class ImageRef:
    """One image of a source, known by name and not yet read.

    Arguments:
        path: name of the image inside its source, unique there, with ``/`` between folders.
        size: bytes of the file that holds it; with ``mtime_ns`` it tells a changed file.
        mtime_ns: time of that file's last change, nanoseconds since 1970.
        problem: why the image is known to be unusable before it is read, if it is.
    """

    path: str
    size: int
    mtime_ns: int
    problem: str | None = None

    @cached_property
    def id(self) -> int:
        """A signed 64-bit id made from the path alone: the same wherever the source lies."""
        return _hash64(self.path.encode("utf-8", "surrogatepass"))

    @cached_property
    def stamp(self) -> int:
        """A signed 64-bit mark of the file's state: another size or time gives another stamp."""
        return _hash64(f"{self.size}:{self.mtime_ns}".encode())


def content_hash(data: bytes) -> bytes:
    """What tells an image wherever it lies: BLAKE2b of its file's bytes, 128 bits."""
    return hashlib.blake2b(data, digest_size=16).digest()


def natural_key(path: str) -> list[tuple[int, str]]:
    """Sorts paths as sources keep their images: ``file#9`` before ``file#10``."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


class ImageSource(ABC):
    """A collection of images that can be walked in a stable order and read one by one."""

    uri: str
    """What the user typed, made absolute: opens the same source again from anywhere."""

    others: int = 0
    """Files that don't claim to be images, skipped when the source was last walked to its end."""

    @abstractmethod
    def __iter__(self) -> Iterator[ImageRef]:
        """All images, in the same order every time, without reading them."""

    @abstractmethod
    def read(self, path: str, limit: int) -> bytes:
        """Bytes of the image named ``path``.

        Arguments:
            path: `ImageRef.path` of one of this source's images.
            limit: most bytes that may be read.

        Raises:
            BadImage: it can't be read, or is larger than ``limit``.
        """

    def labels(self) -> dict[str, str] | None:
        """True labels (path → class) where the source carries them; for evaluation only."""
        return None

    @cached_property
    def count(self) -> int:
        """Number of images, found by walking the source once."""
        return sum(1 for _ in self)


def _hash64(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)
