"""``RUN/thumbnails.sqlite``: small pictures that were made once."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class PictureCache:
    """Encoded pictures on disk, by row. Losing it costs only the time to make them again.

    Threads and processes may share a file. What is damaged is made again; where the disk is full
    or can't be written, nothing is kept.

    Arguments:
        file: made if it isn't there.
        ids: of the images, from their paths: `headlight.images.ImageRef.id`.
    """

    def __init__(self, file: Path, ids: Sequence[int]) -> None:
        self._file = file
        self._ids = ids
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._open()

    def missing(self) -> list[int]:
        """Rows without a picture, ascending."""
        there = {found for (found,) in self._do("SELECT id FROM picture")}
        return [row for row, name in enumerate(self._ids) if name not in there]

    def get(self, row: int) -> bytes | None:
        """The picture of ``row``, if there is one and it is whole."""
        for crc, data in self._do("SELECT crc, data FROM picture WHERE id = ?", self._ids[row]):
            if isinstance(data, bytes) and zlib.crc32(data) == crc:
                return data
        return None

    def put(self, row: int, data: bytes) -> None:
        """Keeps the picture of ``row``, if the disk will have it."""
        values = self._ids[row], zlib.crc32(data), data
        self._do("INSERT OR REPLACE INTO picture VALUES (?, ?, ?)", *values)

    def close(self) -> None:
        """Nothing is found or kept from now on."""
        with self._lock:
            if self._database:
                self._database.close()
            self._database = None

    def _do(self, command: str, *values: int | bytes) -> list[tuple]:
        with self._lock:
            try:
                return self._database.execute(command, values).fetchall() if self._database else []
            except sqlite3.OperationalError:  # full, read-only, or busy for seconds
                return []
            except sqlite3.DatabaseError:
                self._replace()
                return []

    def _open(self) -> None:
        try:
            self._database = self._connected("")
        except sqlite3.OperationalError:  # can't be written, so nobody else writes either
            with suppress(sqlite3.Error):
                self._database = self._connected("?immutable=1")
        except sqlite3.DatabaseError:
            self._replace()

    def _replace(self) -> None:
        """A new file in the place of a damaged one."""
        if self._database:
            self._database.close()
        self._database = None
        with suppress(OSError, sqlite3.Error):
            for end in ("", "-wal", "-shm"):
                Path(f"{self._file}{end}").unlink(missing_ok=True)
            self._database = self._connected("")

    def _connected(self, how: str) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._file.resolve().as_uri() + how,
            isolation_level=None,  # each picture is kept at once
            check_same_thread=False,
            uri=True,
        )
        try:
            # A kill or a loss of power leaves it whole, and a picture needs no wait for the disk.
            # The index of UNIQUE lists all ids without reading pictures.
            database.executescript("""
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = NORMAL;
                PRAGMA trusted_schema = OFF;
                CREATE TABLE IF NOT EXISTS picture (id INTEGER UNIQUE, crc INTEGER, data BLOB);
            """)
        except sqlite3.Error:
            database.close()
            raise
        return database
