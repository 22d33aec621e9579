"""Pictures of a run's images, by row number, and never of anything else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pyarrow as pa
from PIL import Image

from headlight.explore.app.cache import PictureCache
from headlight.images import ImageSource
from headlight.images.source import natural_key
from headlight.images.thumbnail import Thumbnail, encoded, make_thumbnail, within

SIDE = 144  # pixels of a thumbnail's shorter side: shown at some 110 to 150
LONGEST = 288
LARGE = 1600  # longest side of a picture shown alone
QUALITY = 80
WORKERS = min(4, os.cpu_count() or 1)


class Pictures:
    """Thumbnails made once, when first wanted, and kept in the run.

    Arguments:
        source: holds the images; None if it has gone.
        paths: of the images, (n,) strings; a row is a place in it.
        cache: where thumbnails are kept.
    """

    def __init__(self, source: ImageSource | None, paths: pa.ChunkedArray, cache: PictureCache):
        self.source = source
        self.paths = paths
        self.cache = cache
        self._pool = ThreadPoolExecutor(WORKERS, "pictures")
        self._bad: dict[int, Thumbnail] = {}
        self._lock = threading.Lock()
        self._first: frozenset[int] = frozenset()
        self._first_made = threading.Event()

    def make_first(self, rows: Sequence[int], then: Callable[[], object]) -> None:
        """Begins to make what the first page shows, all in one pass; whoever asks for it waits.

        The page asks for them one by one, and of a Parquet file each might decode a row group.

        Arguments:
            rows: of the first page.
            then: called when they are made.
        """
        self._first = frozenset(rows)

        def make() -> None:
            try:
                self._in_order(rows)
            except (RuntimeError, CancelledError):  # closed meanwhile
                return
            finally:
                self._first_made.set()
            then()

        threading.Thread(target=make, name="first pictures", daemon=True).start()

    def thumbnails(self, rows: Sequence[int]) -> list[Thumbnail]:
        """Thumbnails of ``rows``, in their order; those not yet made are made in the source's."""
        if not self._first.isdisjoint(rows):
            self._first_made.wait()
        return self._in_order(rows)

    def _in_order(self, rows: Sequence[int]) -> list[Thumbnail]:
        found = {row: self._kept(row) for row in rows}
        missing = {row: self._path(row) for row, picture in found.items() if picture is None}
        # A row group of a Parquet file is then decoded once.
        ordered = sorted(missing, key=lambda row: natural_key(missing[row]))
        for row, picture in zip(ordered, self._pool.map(self._made, ordered), strict=True):
            found[row] = picture
        return [found[row] or Thumbnail(problem="gone") for row in rows]

    def thumbnail(self, row: int) -> Thumbnail:
        """One of `thumbnails`, made by the thread that asks."""
        if row in self._first:
            self._first_made.wait()
        return self._kept(row) or self._made(row)

    def large(self, row: int) -> Thumbnail:
        """The image itself, upright, at most 1,600 pixels long; or a thumbnail if it is gone."""
        picture = self._read(row, LARGE // 2, LARGE)
        return picture if picture.data else (self._kept(row) or picture)

    def close(self) -> None:
        """Stops making pictures."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _path(self, row: int) -> str:
        return self.paths[row].as_py()

    def _kept(self, row: int) -> Thumbnail | None:
        data = self.cache.get(row)
        return Thumbnail(data) if data else self._bad.get(row)

    def _made(self, row: int) -> Thumbnail:
        picture = self._read(row, SIDE, LONGEST)
        if picture.data:
            self.cache.put(row, picture.data)
        else:
            with self._lock:
                self._bad[row] = picture
        return picture

    def _read(self, row: int, side: int, longest: int) -> Thumbnail:
        def encode(image: Image.Image) -> bytes:
            return encoded(within(image, side, longest), "JPEG", quality=QUALITY)

        return make_thumbnail(self.source, self._path(row), side, encode)
