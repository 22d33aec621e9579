"""Images in edits: named by their keys on disk, rows of the current fit in memory."""

from __future__ import annotations

import base64
from functools import cached_property

import numpy as np

from headlight.runs.image_keys import BYTES, path_key


class Images:
    """The images of a fit, found by their keys.

    Arguments:
        keys: uint8 (n, 16), of `headlight.runs.image_keys.keys_of`.
        paths: of the same rows.
    """

    def __init__(self, keys: np.ndarray, paths: list[str]) -> None:
        self._index = _Index(keys)
        self._paths = paths

    def keys_of(self, rows: np.ndarray) -> set[bytes]:
        """The keys of these rows, int (m,).

        Raises:
            ValueError: there is no such row.
        """
        rows, n = np.asarray(rows, np.int64), len(self._index.keys)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n:
            raise ValueError(f"images that are not below {n}")
        return {key.tobytes() for key in self._index.keys[rows]}

    def pack(self, rows: np.ndarray) -> str:
        """The images of these rows as text: see `packed`."""
        return packed(self.keys_of(rows))

    def unpack(self, text: str) -> np.ndarray:
        """The rows of the images that `pack` named, of all their copies: int64 (m,), sorted.

        Images that are not in this fit have none.

        Raises:
            ValueError: the text is nothing that `pack` made.
        """
        wanted = unpacked(text)
        rows, known = self._index.find(wanted)
        if known.all():
            return rows
        # Named before their contents were known.
        return np.union1d(rows, self._by_path.find(wanted[~known])[0])

    def first_rows(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A row of each of these images, int64 (m,), and which of them are in this fit, bool (m,).

        Arguments:
            keys: uint8 (m, 16).
        """
        return self._index.first(keys)

    @cached_property
    def _by_path(self) -> _Index:
        joined = b"".join(path_key(path) for path in self._paths)
        return _Index(np.frombuffer(joined, np.uint8).reshape(-1, BYTES))


def packed(keys: set[bytes]) -> str:
    """Keys as text: sorted, in base64."""
    return base64.b64encode(b"".join(sorted(keys))).decode("ascii")


def unpacked(text: str) -> np.ndarray:
    """The keys in a text of `packed`: uint8 (m, 16).

    Raises:
        ValueError: it is no such text.
    """
    data = base64.b64decode(text, validate=True)
    if len(data) % BYTES:
        raise ValueError("images that can't be read")
    return np.frombuffer(data, np.uint8).reshape(-1, BYTES)


class _Index:
    """Rows by key, sorted by the first half of the key."""

    def __init__(self, keys: np.ndarray) -> None:
        self.keys = keys
        halves = _first_half(keys)
        self._order = np.argsort(halves, kind="stable")
        self._sorted = halves[self._order]
        self._copies = bool((self._sorted[1:] == self._sorted[:-1]).any())

    def find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows with one of these keys, int64 sorted, and which keys have any, bool."""
        which, rows = self._pairs(wanted)
        known = np.zeros(len(wanted), bool)
        known[which] = True
        return np.unique(rows), known

    def first(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first row with each key, 0 where there is none, and which keys have one."""
        which, rows = self._pairs(wanted)
        found = np.zeros(len(wanted), np.int64)
        found[which[::-1]] = rows[::-1]
        known = np.zeros(len(wanted), bool)
        known[which] = True
        return found, known

    def _pairs(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in ``wanted``, and the rows with that key, in order of both."""
        halves = _first_half(wanted)
        first = np.searchsorted(self._sorted, halves, "left")
        if not self._copies and len(self._order):
            rows = self._order[np.minimum(first, len(self._order) - 1)]
            which = np.flatnonzero((self.keys[rows] == wanted).all(axis=1))
            return which, rows[which]
        count = np.searchsorted(self._sorted, halves, "right") - first
        which = np.repeat(np.arange(len(wanted)), count)
        offset = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        rows = self._order[first[which] + offset]
        same = (self.keys[rows] == wanted[which]).all(axis=1)
        return which[same], rows[same]


def _first_half(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys[:, : BYTES // 2]).view(np.uint64)[:, 0]
