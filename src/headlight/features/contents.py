"""Which contents are known, and which row of a store has the features of each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DTYPE = "S16"  # compares as the bytes do; its zeros at the end are cut, which makes no two equal
FEWEST = 4096


class KnownContents:
    """Contents and the ids of their rows, in 24 bytes each; safe to ask while another thread adds.

    Arguments:
        contents: bytes (n,), of dtype ``S16``.
        ids: int64 (n,), of their rows; of equal contents any one is kept.
    """

    def __init__(self, contents: np.ndarray, ids: np.ndarray) -> None:
        values, first = np.unique(contents, return_index=True)
        self._sorted = values, ids[first]
        self._recent: dict[bytes, int] = {}

    def get(self, content: bytes) -> int | None:
        """The id of a row with this content, if there is one."""
        recent = self._recent  # before the sorted ones: `add` moves them the other way round
        contents, ids = self._sorted
        if (found := recent.get(content)) is not None:
            return found
        i = place(contents, content)
        return None if i is None else int(ids[i])

    def add(self, content: bytes, id_: int) -> None:
        """Remember one that is not known yet."""
        self._recent[content] = id_
        contents, ids = self._sorted
        if len(self._recent) > max(FEWEST, len(contents) // 4):
            contents = np.concatenate([contents, np.array(list(self._recent), DTYPE)])
            ids = np.concatenate([ids, np.fromiter(self._recent.values(), np.int64)])
            order = np.argsort(contents)
            self._sorted = contents[order], ids[order]
            self._recent = {}


def as_numpy(contents: pa.ChunkedArray) -> np.ndarray:
    """Contents as ``S16`` (n,); empty where they are not known."""
    filled = pc.fill_null(contents.combine_chunks(), pa.scalar(bytes(16), contents.type))
    return np.frombuffer(filled.buffers()[1], DTYPE, len(filled), filled.offset * 16)


def place(values: np.ndarray, wanted: bytes | int) -> int | None:
    """Where a content or an id is among sorted ones, ``S16`` or int64 (n,); None: nowhere."""
    one = np.array(wanted, values.dtype)
    i = int(np.searchsorted(values, one))
    return i if i < len(values) and values[i] == one else None
