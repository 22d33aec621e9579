"""Images kept in Parquet files, as Hugging Face's ``datasets`` writes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headlight.errors import HeadlightError, first_line
from headlight.images.ahead import mapped_ahead
from headlight.images.files import Entry, Files
from headlight.images.listing import ImageRef, image_ref
from headlight.images.source import BadImage, ImageSource, within_limit

ENDING = ".parquet"
GROUPS_KEPT = 2  # row groups held in memory: the one being read, and the next one's beginning

T = TypeVar("T")


class Layout(NamedTuple):
    """Where the images are in a Parquet file.

    Arguments:
        column: name of the image column.
        field: the field of it that holds the bytes; None: it does itself.
        starts: first row of each row group, and the number of rows: int64 (groups + 1,).
    """

    column: str
    field: str | None
    starts: np.ndarray


class ParquetSource(ImageSource):
    """Parquet files with an image column, in a folder or behind a URL.

    The column is a struct with a binary field ``bytes`` (Hugging Face's ``Image`` feature) or
    plain binary. An image is named ``FILE#ROW``. Rows are read a row group at a time; the last
    few groups are kept, so that reading in order decodes each group once.

    Arguments:
        files: those that end in ``.parquet`` are taken.

    Raises:
        HeadlightError: the first file is not Parquet, or has no image column; of the others when
            they are listed.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.uri = files.uri
        self._groups: dict[tuple[str, int], pa.ChunkedArray] = {}
        self._layouts: dict[str, Layout] = {}
        self._lock = threading.Lock()
        self._entries = list(files.walk(ENDING))
        self._names = {entry.name for entry in self._entries}
        for first in self._entries[:1]:
            self._layout(first.name)

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        workers = min(8, max(1, self._files.readers))

        def counted(entry: Entry) -> tuple[Entry, int]:
            return entry, int(self._layout(entry.name).starts[-1])

        for entry, rows in mapped_ahead(counted, self._entries, workers, workers, "parquet"):
            for row in range(rows):
                yield image_ref(f"{entry.name}#{row}", entry.state)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        name, _, row = path.rpartition("#")
        if name not in self._names or not row.isdigit():
            raise BadImage("not an image of this source", gone=True)
        try:
            data = self._value(name, int(row))
        except IndexError:  # the file has changed since
            raise BadImage("gone: the file has no such row", gone=True) from None
        if not data:
            raise BadImage("empty: no bytes in this row")
        return within_limit(data, limit)

    def labels(self) -> dict[str, str] | None:
        """The ``label`` column, where every file has one."""
        labels: dict[str, str] = {}
        for entry in self._entries:

            def column(name: str = entry.name) -> list[object] | None:
                with self._files.open(name) as stream, pq.ParquetFile(stream) as file:
                    if "label" not in file.schema_arrow.names:
                        return None
                    return file.read(["label"])["label"].to_pylist()

            values = self._read(entry.name, column)
            if values is None:
                return None
            labels |= {f"{entry.name}#{row}": str(value) for row, value in enumerate(values)}
        return labels

    def _read(self, name: str, call: Callable[[], T]) -> T:
        """What ``call`` reads of a file; what is wrong with that becomes a `HeadlightError`."""
        try:
            return self._files.demand(name, call)
        except HeadlightError:
            raise
        except Exception as error:  # PyArrow raises almost anything on damaged files
            raise HeadlightError(
                f"{self._files.where(name)} is not a readable Parquet file ({first_line(error)}): "
                "write it again"
            ) from error

    def _value(self, name: str, row: int) -> bytes | None:
        layout = self._layout(name)
        group = int(np.searchsorted(layout.starts, row, side="right")) - 1
        if group >= len(layout.starts) - 1:
            raise IndexError(row)
        with self._lock:
            if (name, group) not in self._groups:
                if len(self._groups) >= GROUPS_KEPT:
                    self._groups.pop(next(iter(self._groups)))
                self._groups[name, group] = self._files.attempt(
                    lambda: self._read_group(name, group)
                )
            values = self._groups[name, group]
        return values[row - int(layout.starts[group])].as_py()

    def _read_group(self, name: str, group: int) -> pa.ChunkedArray:
        layout = self._layout(name)
        with self._files.open(name) as stream, pq.ParquetFile(stream, pre_buffer=True) as file:
            values = file.read_row_group(group, columns=[layout.column])[layout.column]
        if layout.field is None:
            return values
        return pa.chunked_array([chunk.field(layout.field) for chunk in values.chunks])

    def _layout(self, name: str) -> Layout:
        if name not in self._layouts:
            self._layouts[name] = self._read(name, lambda: self._read_layout(name))
        return self._layouts[name]

    def _read_layout(self, name: str) -> Layout:
        with self._files.open(name) as stream, pq.ParquetFile(stream) as file:
            metadata, schema = file.metadata, file.schema_arrow
        sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        if min(sizes, default=0) < 0 or sum(sizes) != metadata.num_rows:
            raise ValueError("its row groups don't have the number of rows it states")
        return Layout(*_image_column(schema, self._files.where(name)), np.cumsum([0, *sizes]))


def _image_column(schema: pa.Schema, where: str) -> tuple[str, str | None]:
    """Name of the image column, and of the field in it that holds the bytes."""
    names = ", ".join(schema.names).splitlines() or [""]
    fields = sorted(schema, key=lambda field: field.name != "image")  # "image" first, if any
    for field in fields:
        if pa.types.is_struct(field.type) and "bytes" in {f.name for f in field.type}:
            return field.name, "bytes"
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return field.name, None
    raise HeadlightError(
        f"{where} has no image column: one must be binary, or a struct with a field `bytes` "
        f"(found {names[0][:200]})"
    )
