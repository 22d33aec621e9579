"""Batch sizes: as large as memory allows, and smaller when it runs out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from headlight.errors import HeadlightError

SMALLEST, LARGEST = 32, 512

T = TypeVar("T")


def largest_batch(fits: Callable[[int], bool]) -> int:
    """The largest batch that fits: 32 doubled up to 512, or halved where even 32 is too many.

    Arguments:
        fits: runs a batch of so many images and tells whether there was memory for it.

    Raises:
        HeadlightError: not even one image fits.
    """
    size = SMALLEST
    if fits(size):
        while size < LARGEST and fits(2 * size):
            size *= 2
        return size
    size = half(size)
    while not fits(size):
        size = half(size)
    return size


def half(size: int) -> int:
    """The next smaller batch.

    Raises:
        HeadlightError: there is none.
    """
    if size == 1:
        raise HeadlightError(
            "the GPU has too little free memory for one image of this encoder: free some, "
            "choose a smaller encoder, or give --device cpu"
        )
    return size // 2


class Batches(Generic[T]):
    """Cuts a stream into batches; one that didn't fit is given out again in smaller ones.

    Arguments:
        items: the stream, read only as far as needed.
        size: items per batch; may be lowered at any time.
    """

    def __init__(self, items: Iterable[T], size: int) -> None:
        self.size = size
        self._stream = iter(items)
        self._returned: deque[T] = deque()

    def take(self) -> list[T]:
        """The next batch, in order; a shorter one at the end, then empty ones."""
        batch: list[T] = []
        while len(batch) < self.size:
            if self._returned:
                batch.append(self._returned.popleft())
                continue
            for item in self._stream:
                batch.append(item)
                break
            else:
                break
        return batch

    def put_back(self, batch: list[T]) -> None:
        """Take back the batch that was given out last."""
        self._returned.extendleft(reversed(batch))
