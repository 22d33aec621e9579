"""Where images come from: one small interface, whatever holds the bytes."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

from headlight.images.listing import ImageRef, Listing


class BadImage(Exception):  # noqa: N818 - not a failure of the program: a verdict on one image
    """One image can't be used.

    Arguments:
        reason: what a person reads in the quarantine.
        gone: it is no longer there.
    """

    def __init__(self, reason: str, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


def content_hash(data: bytes) -> bytes:
    """What tells an image wherever it lies: BLAKE2b of its file's bytes, 128 bits."""
    return hashlib.blake2b(data, digest_size=16).digest()


def within_limit(data: bytes, limit: int) -> bytes:
    """The bytes read of an image, at most one more than ``limit``; `BadImage` if they are more."""
    if len(data) > limit:
        raise BadImage(f"larger than the limit of {limit / 2**20:.0f} MiB")
    return data


def natural_key(path: str) -> list[tuple[int, str]]:
    """Sorts paths as sources keep their images: ``file#9`` before ``file#10``."""
    parts = re.split(r"([0-9]+)", path)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


class ImageSource(ABC):
    """A collection of images that is listed once, in a stable order, and read one by one.

    An open source stays as it was when it was first listed: open it again to see what has changed.
    """

    uri: str
    """What the user typed, made absolute: opens the same source again from anywhere, also in
    another process. It holds no credentials."""

    others: int = 0
    """Files that don't claim to be images, skipped when the source was listed."""

    readers: int = 0
    """Reads to have under way at a time where each waits for a network; 0: reading is fast."""

    @abstractmethod
    def walk(self) -> Iterator[ImageRef]:
        """All images as they are now, in the same order every time, without reading them."""

    @abstractmethod
    def read(self, path: str, limit: int) -> bytes:
        """Bytes of the image named ``path``; safe to call from several threads, in any order.

        Arguments:
            path: `ImageRef.path` of one of this source's images.
            limit: most bytes that may be read.

        Raises:
            BadImage: it can't be read, or is larger than ``limit``.
            HeadlightError: the source as a whole can't be read any more.
        """

    def labels(self) -> dict[str, str] | None:
        """True labels (path → class) where the source carries them; for evaluation only."""
        return None

    @cached_property
    def listing(self) -> Listing:
        """All images, found by the one walk there is."""
        return Listing(self.walk())

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self.listing)

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.listing)
