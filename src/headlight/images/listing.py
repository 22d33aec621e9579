"""What a source holds: one entry an image, listed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

CHUNK = 2**16  # images in one array of paths


class ImageRef(NamedTuple):
    """One image of a source, known by name and not yet read.

    Arguments:
        path: name of the image inside its source, unique there, with ``/`` between folders.
        id: `image_id` of the path: the same wherever the source lies.
        stamp: signed 64-bit mark of the state of the file that holds it: it tells a changed file.
        problem: why the image is known to be unusable before it is read, if it is.
    """

    path: str
    id: int
    stamp: int
    problem: str | None = None


def image_ref(path: str, state: str, problem: str | None = None) -> ImageRef:
    """An image by name.

    Arguments:
        path, problem: as in `ImageRef`.
        state: what tells a changed file, as text: ``SIZE:MTIME_NS``, an ETag, a revision.
    """
    return ImageRef(path, image_id(path), _hash64(state.encode()), problem)


def image_id(path: str) -> int:
    """A signed 64-bit id made from a path alone."""
    return _hash64(path.encode("utf-8", "surrogatepass"))


class Listing:
    """The images of a source at one moment, in 16 bytes each beside their names.

    Arguments:
        refs: the images, in the source's order; of two with one name the first counts.

    Attributes:
        ids: int64 (n,), `ImageRef.id` of each image.
        stamps: int64 (n,), `ImageRef.stamp` of each.
    """

    def __init__(self, refs: Iterable[ImageRef]) -> None:
        self._paths: list[pa.Array] = []
        self._problems: dict[int, str] = {}
        ids, stamps = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        stream, n = iter(refs), 0
        while chunk := list(islice(stream, CHUNK)):
            paths, numbers, states, problems = zip(*chunk, strict=True)
            self._paths.append(pa.array(paths, pa.string()))
            ids.append(np.array(numbers, np.int64))
            stamps.append(np.array(states, np.int64))
            self._problems |= {n + i: why for i, why in enumerate(problems) if why}
            n += len(chunk)
        self.ids, self.stamps = np.concatenate(ids), np.concatenate(stamps)
        first = np.unique(self.ids, return_index=True)[1]
        if len(first) < n:
            self._keep(np.sort(first))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[ImageRef]:
        return self.at(np.arange(len(self)))

    def at(self, rows: np.ndarray) -> Iterator[ImageRef]:
        """The images at some places.

        Arguments:
            rows: int64 (m,), ascending.
        """
        start = 0
        for chunk in self._paths:
            low, high = np.searchsorted(rows, (start, start + len(chunk)))
            here = rows[low:high]
            paths = chunk.take(pa.array(here - start)).to_pylist()
            columns = (self.ids[here].tolist(), self.stamps[here].tolist(), here.tolist())
            for path, number, stamp, row in zip(paths, *columns, strict=True):
                yield ImageRef(path, number, stamp, self._problems.get(row))
            start += len(chunk)

    def _keep(self, rows: np.ndarray) -> None:
        problems = {i: self._problems.get(row) for i, row in enumerate(rows.tolist())}
        self._problems = {i: why for i, why in problems.items() if why}
        self._paths = [pa.concat_arrays(self._paths).take(pa.array(rows))]
        self.ids, self.stamps = self.ids[rows], self.stamps[rows]


def _hash64(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)
