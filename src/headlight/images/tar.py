"""Images in tar files, as WebDataset and `tar` write them; nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq
from platformdirs import user_cache_path

from headlight.errors import HeadlightError, first_line
from headlight.images.ahead import mapped_ahead
from headlight.images.faults import gone
from headlight.images.file_types import claims_no_image
from headlight.images.files import Entry, Files
from headlight.images.folder import NOT_REGULAR, hidden, printable
from headlight.images.listing import ImageRef, image_ref
from headlight.images.source import BadImage, ImageSource, within_limit

ENDING = ".tar"
INDEXES_KEPT = 64
LONGEST_HEADER = 2**20  # bytes; a name in it may be long
UNUSED_SECONDS = 60 * 24 * 3600
OTHERS = b"others"
MEMBER = pa.schema(
    [
        ("name", pa.string()),
        ("start", pa.int64()),
        ("size", pa.int64()),
        ("problem", pa.string()),
    ]
)


class Member(NamedTuple):
    """Where an image is in its tar file.

    Arguments:
        start: of its bytes in the file.
        size: number of its bytes.
        problem: why it can't be used; None if nothing speaks against it.
    """

    start: int
    size: int
    problem: str | None


Index = dict[str, Member]
"""Name → place of each member that may be an image, in the order of the file."""


class TarSource(ImageSource):
    """The images in some tar files, named ``SHARD.tar/NAME``.

    Each file is passed through once for its headers, and then read piece by piece, wherever an
    image is. What an index of a file behind a URL says is kept in the user's cache, since the pass
    may have to transfer the whole file. Compressed tar files have no such places.

    A member that is no plain file, or whose name leads out of the archive, is quarantined; hidden
    files and those that don't claim to be images are passed over as in a folder. Of members with
    the same name the last one counts, as for ``tar``.

    Arguments:
        files: those that end in ``.tar`` are taken.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.uri, self.readers = files.uri, files.readers
        self._indexes: dict[str, tuple[str, Index]] = {}  # with the file's state
        self._lock = threading.Lock()

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`.

        Raises:
            HeadlightError: a file is damaged or compressed.
        """
        others, workers = 0, min(8, max(1, self.readers))

        def indexed(shard: Entry) -> tuple[Entry, Index, int]:
            return (shard, *self._index(shard))

        shards = mapped_ahead(indexed, self._files.walk(ENDING), workers, workers, "tar")
        for shard, index, passed in shards:
            others += passed
            if len(self._indexes) < INDEXES_KEPT:  # the first to be read
                self._indexes[shard.name] = shard.state, index
            for name, member in index.items():
                # Of the whole file: a member may change in content alone, not in size or date.
                yield image_ref(f"{shard.name}/{name}", shard.state, member.problem)
        self.others = others

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        shard, found, name = path.partition(f"{ENDING}/")
        if not found:
            raise BadImage("not an image of this source", gone=True)
        member = self._member(shard + ENDING, name)
        if member.problem:
            raise BadImage(member.problem)
        size = min(member.size, limit + 1)
        data = within_limit(self._files.read_range(shard + ENDING, member.start, size), limit)
        if len(data) < size:
            raise BadImage("unreadable: the tar file ends before")
        return data

    def _member(self, shard: str, name: str) -> Member:
        with self._lock:  # one pass through a file, however many ask
            index = self._current(shard)
        if name not in index:
            raise BadImage("gone: the tar file has no such member", gone=True)
        return index[name]

    def _current(self, shard: str) -> Index:
        """The index of a file as it is now; behind a URL, as it was when first asked for."""
        known = self._indexes.get(shard)
        if known and self._files.readers:
            return known[1]
        try:
            entry = self._files.entry(shard)
            if known and known[0] == entry.state:
                return known[1]
            index = self._index(entry)[0]
        except HeadlightError as error:
            if error.__cause__ and gone(error.__cause__):
                raise BadImage("gone: the tar file is not there", gone=True) from error
            raise
        self._indexes[shard] = entry.state, index
        if len(self._indexes) > INDEXES_KEPT:
            del self._indexes[next(iter(self._indexes))]
        return index

    def _index(self, shard: Entry) -> tuple[Index, int]:
        """Members that may be images, and the number of files passed over."""
        where = self._files.where(shard.name)
        kept = KeptIndex(where, shard.state) if self._files.readers else None
        if kept and (found := kept.read()):
            return found
        try:
            index, others = self._files.demand(shard.name, lambda: self._scanned(shard.name))
        except HeadlightError:
            raise
        except Exception as error:  # tarfile raises several kinds
            raise HeadlightError(
                f"{where} is not a readable tar file ({first_line(error)}): write it again, "
                "uncompressed"
            ) from error
        if kept:
            kept.write(index, others)
        return index, others

    def _scanned(self, shard: str) -> tuple[Index, int]:
        index: Index = {}
        others = 0
        with self._files.open(shard) as stream:
            bounded = cast(IO[bytes], BoundedReads(stream))
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                while (info := tar.next()) is not None:
                    tar.members = []  # type: ignore[attr-defined]  # it would grow
                    name = info.name.removeprefix("./")
                    if info.isdir() or _passed_over(name):
                        continue
                    if claims_no_image(name):
                        others += 1
                        continue
                    index.pop(printable(name), None)
                    index[printable(name)] = Member(info.offset_data, info.size, _problem(info))
                stream.seek(tar.offset)
                if any(stream.read(tarfile.BLOCKSIZE)):  # where tarfile sees the end
                    raise tarfile.ReadError(f"no header at byte {tar.offset:,}")
        return index, others


class BoundedReads:
    """A file no read of which may be long: a header says how much of it is to be read at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """So many bytes."""
        if not 0 <= size <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)


class KeptIndex:
    """The index of a tar file behind a URL, in the user's cache.

    Arguments:
        where: the file.
        state: what tells a changed one.
    """

    def __init__(self, where: str, state: str) -> None:
        digest = hashlib.sha256(f"{where}\0{state}".encode()).hexdigest()[:32]
        self._file = user_cache_path("headlight") / "tar" / f"{digest}.parquet"

    def read(self) -> tuple[Index, int] | None:
        """Index and number of files passed over; None if they are not there or not readable."""
        try:
            with pq.ParquetFile(self._file) as file:
                table = file.read()
            others = int(table.schema.metadata[OTHERS])
            rows = zip(*(table[name].to_pylist() for name in MEMBER.names), strict=True)
            index = {name: Member(*rest) for name, *rest in rows}
            os.utime(self._file)
        except Exception:  # whatever is wrong with it: it is made again
            return None
        return index, others

    def write(self, index: Index, others: int) -> None:
        """Keep them, if there is room, and delete what was not read for long."""
        columns = [list(index), *(list(column) for column in zip(*index.values(), strict=True))]
        arrays = columns if index else [[]] * len(MEMBER)
        schema = MEMBER.with_metadata({OTHERS: str(others).encode()})
        table = pa.table(dict(zip(MEMBER.names, arrays, strict=True)), schema)
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._file.parent, delete=False) as stream:
                pq.write_table(table, stream)
            Path(stream.name).replace(self._file)
            for other in self._file.parent.iterdir():
                if other.stat().st_mtime < time.time() - UNUSED_SECONDS:
                    other.unlink()


def _passed_over(name: str) -> bool:
    parts = [part for part in name.split("/") if part != "."]
    return ".." not in parts and any(map(hidden, parts))


def _problem(info: tarfile.TarInfo) -> str | None:
    name = info.name
    if name.startswith("/") or ".." in name.split("/"):
        return "its name leads out of the archive"
    if not info.isreg() or info.issparse():
        return NOT_REGULAR
    return None if printable(name) == name else "its name is not valid UTF-8"
