"""Pictures of a run's images, by row number, and never of anything else."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from PIL import Image

from headlight.explore.app.cache import PictureCache
from headlight.explore.thumbnails import natural_key
from headlight.images import BadImage, DecodeLimits, ImageSource, decode

SIDE = 144  # pixels of a thumbnail's shorter side: shown at some 110 to 150
LONGEST = 288
TINY = 48  # an original no larger is kept exactly, and shown with its pixels as squares
LARGE = 1600  # longest side of a picture shown alone
QUALITY = 80
WORKERS = min(4, os.cpu_count() or 1)
KINDS = {b"\x89PN": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, or why there is none.

    Arguments:
        data: PNG or JPEG; empty if there is none.
        problem: "gone" or "unreadable" then.
    """

    data: bytes = b""
    problem: str = ""

    @property
    def kind(self) -> str:
        """Media type of ``data``."""
        return KINDS.get(self.data[:3], "application/octet-stream")


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
        self._bad: dict[int, Picture] = {}
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

    def thumbnails(self, rows: Sequence[int]) -> list[Picture]:
        """Thumbnails of ``rows``, in their order; those not yet made are made in the source's."""
        if not self._first.isdisjoint(rows):
            self._first_made.wait()
        return self._in_order(rows)

    def _in_order(self, rows: Sequence[int]) -> list[Picture]:
        found = {row: self._kept(row) for row in rows}
        missing = {row: self._path(row) for row, picture in found.items() if picture is None}
        # A row group of a Parquet file is then decoded once.
        ordered = sorted(missing, key=lambda row: natural_key(missing[row]))
        for row, picture in zip(ordered, self._pool.map(self._made, ordered), strict=True):
            found[row] = picture
        return [found[row] or Picture(problem="gone") for row in rows]

    def thumbnail(self, row: int) -> Picture:
        """One of `thumbnails`, made by the thread that asks."""
        if row in self._first:
            self._first_made.wait()
        return self._kept(row) or self._made(row)

    def large(self, row: int) -> Picture:
        """The image itself, upright, at most 1,600 pixels long; or a thumbnail if it is gone."""
        picture = self._read(row, LARGE // 2, LARGE)
        return picture if picture.data else (self._kept(row) or picture)

    def close(self) -> None:
        """Stops making pictures."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _path(self, row: int) -> str:
        return self.paths[row].as_py()

    def _kept(self, row: int) -> Picture | None:
        data = self.cache.get(row)
        return Picture(data) if data else self._bad.get(row)

    def _made(self, row: int) -> Picture:
        picture = self._read(row, SIDE, LONGEST)
        if picture.data:
            self.cache.put(row, picture.data)
        else:
            with self._lock:
                self._bad[row] = picture
        return picture

    def _read(self, row: int, side: int, longest: int) -> Picture:
        if self.source is None:
            return Picture(problem="gone")
        try:
            data = self.source.read(self._path(row), DecodeLimits().file_bytes)
            return Picture(_encoded(decode(data, side), side, longest))
        except BadImage as error:
            cause = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
            return Picture(problem="gone" if cause or "gone" in str(error) else "unreadable")
        except Exception:  # whatever else a source may raise: one picture less
            return Picture(problem="unreadable")


def _encoded(image: Image.Image, side: int, longest: int) -> bytes:
    stream = io.BytesIO()
    if max(image.size) <= TINY:
        image.save(stream, "PNG")
        return stream.getvalue()
    scale = min(1, max(side / min(image.size), 1 / max(image.size)), longest / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
