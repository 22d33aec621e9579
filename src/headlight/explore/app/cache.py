"""``RUN/thumbnails``: small pictures one after another in one file, and an index of them."""

from __future__ import annotations

import os
import threading
import zlib
from pathlib import Path

import numpy as np

# Another way of making thumbnails gets another number: the old files are then left alone.
VERSION = 1
RECORD = np.dtype([("id", "<i8"), ("offset", "<u8"), ("length", "<u4"), ("crc", "<u4")])


class PictureCache:
    """Encoded pictures on disk, by row. Losing it costs only the time to make them again.

    A picture counts when its record in the index is whole and its checksum right, so nothing has
    to be repaired after a crash. One process writes; another that opens the same run reads what
    was there and makes the rest again. A disk that is full or can't be written is no error.

    Arguments:
        folder: made if it isn't there.
        ids: int64 (n,), of the images, from their paths: `headlight.images.ImageRef.id`.
    """

    def __init__(self, folder: Path, ids: np.ndarray) -> None:
        self._ids = ids
        self._offset = np.zeros(len(ids), np.uint64)
        self._length = np.zeros(len(ids), np.uint32)
        self._crc = np.zeros(len(ids), np.uint32)
        self._lock = threading.Lock()
        self._data = self._index = -1
        self._end = self._index_end = 0
        self._writes = False
        self._open(folder)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._length))

    def has(self, row: int) -> bool:
        """Whether there is a picture of ``row``."""
        return self._length[row] != 0

    def get(self, row: int) -> bytes | None:
        """The picture of ``row``, if there is one and it is whole."""
        length = int(self._length[row])
        if not length:
            return None
        try:
            data = os.pread(self._data, length, int(self._offset[row]))
        except OSError:
            return None
        if len(data) != length or zlib.crc32(data) != self._crc[row]:
            self._length[row] = 0  # damaged: made again
            return None
        return data

    def put(self, row: int, data: bytes) -> None:
        """Keeps the picture of ``row``, if the disk will have it."""
        with self._lock:
            if not self._writes or self._length[row]:
                return
            record = np.array((self._ids[row], self._end, len(data), zlib.crc32(data)), RECORD)
            try:
                if os.pwrite(self._data, data, self._end) != len(data):
                    raise OSError("written in part")
                if os.pwrite(self._index, record.tobytes(), self._index_end) != RECORD.itemsize:
                    raise OSError("written in part")
            except OSError:
                self._writes = False
                return
            self._offset[row], self._crc[row] = self._end, record["crc"]
            self._length[row] = len(data)
            self._end += len(data)
            self._index_end += RECORD.itemsize

    def close(self) -> None:
        """Lets another process write."""
        with self._lock:
            self._writes = False
            self._length[:] = 0
            for handle in (self._data, self._index):
                if handle >= 0:
                    os.close(handle)
            self._data = self._index = -1

    def _open(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._data = os.open(folder / f"pictures-{VERSION}.bin", flags, 0o666)
            self._index = os.open(folder / f"index-{VERSION}.bin", flags, 0o666)
            self._writes = self._alone()
        except OSError:  # read-only, or no room for a file
            self._reopen(folder)
        if self._index >= 0 and self._data >= 0:
            self._load()

    def _reopen(self, folder: Path) -> None:
        for handle in (self._data, self._index):
            if handle >= 0:
                os.close(handle)
        self._data = self._index = -1
        try:
            self._data = os.open(folder / f"pictures-{VERSION}.bin", os.O_RDONLY | os.O_CLOEXEC)
            self._index = os.open(folder / f"index-{VERSION}.bin", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            pass

    def _alone(self) -> bool:
        """Whether this process may write: the lock goes with the open file, also in a crash."""
        try:
            import fcntl
        except ImportError:  # Windows
            return True
        try:
            fcntl.flock(self._index, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _load(self) -> None:
        size = os.fstat(self._index).st_size // RECORD.itemsize * RECORD.itemsize
        records = np.frombuffer(os.pread(self._index, size, 0), RECORD)
        self._end = os.fstat(self._data).st_size
        self._index_end = len(records) * RECORD.itemsize
        ends = records["offset"] + records["length"]
        records = records[(ends <= self._end) & (records["length"] > 0)]
        order = np.argsort(self._ids, kind="stable")
        place = np.searchsorted(self._ids[order], records["id"])
        place = order[np.minimum(place, len(order) - 1)] if len(order) else place
        known = self._ids[place] == records["id"] if len(order) else np.zeros(0, bool)
        # Of several pictures of one image the last counts.
        self._offset[place[known]] = records["offset"][known]
        self._crc[place[known]] = records["crc"][known]
        self._length[place[known]] = records["length"][known]
