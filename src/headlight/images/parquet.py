"""Images kept in Parquet files, as Hugging Face's ``datasets`` writes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headlight.errors import HeadlightError, first_line
from headlight.images.source import BadImage, ImageRef, ImageSource

GROUPS_KEPT = 2  # row groups held in memory: the one being read, and the next one's beginning


class ParquetSource(ImageSource):
    """One Parquet file, or a folder of them, with an image column.

    The column is a struct with a binary field ``bytes`` (Hugging Face's ``Image`` feature) or
    plain binary. An image is named ``FILE#ROW``. Rows are read a row group at a time; the last
    few groups are kept, so that reading in order decodes each group once.

    Arguments:
        root: the file, or the folder that holds the files.

    Raises:
        HeadlightError: a file is not Parquet, or has no image column.
    """

    def __init__(self, root: Path) -> None:
        self.uri = str(root.resolve())
        folder = root if root.is_dir() else root.parent
        files = sorted(root.rglob("*.parquet")) if root.is_dir() else [root]
        self._files = {file.relative_to(folder).as_posix(): file for file in files}
        self._columns = {name: _image_column(file) for name, file in self._files.items()}
        self._groups: dict[tuple[str, int], pa.ChunkedArray] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[ImageRef]:
        for name, file in self._files.items():
            info = file.stat()
            for row in range(int(self._starts(name)[-1])):
                yield ImageRef(f"{name}#{row}", info.st_size, info.st_mtime_ns)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        name, _, row = path.rpartition("#")
        if name not in self._files or not row.isdigit():
            raise BadImage("not an image of this source", gone=True)
        try:
            data = self._value(name, int(row))
        except IndexError:  # the file has changed since
            raise BadImage("gone: the file has no such row", gone=True) from None
        except Exception as error:
            gone = not self._files[name].exists()
            raise BadImage(f"unreadable: {first_line(error)}", gone) from error
        if not data:
            raise BadImage("empty: no bytes in this row")
        if len(data) > limit:
            raise BadImage(f"larger than the limit of {limit / 2**20:.0f} MiB")
        return data

    def labels(self) -> dict[str, str] | None:
        """The ``label`` column, where every file has one."""
        labels: dict[str, str] = {}
        for name, file in self._files.items():
            with _readable(file):
                if "label" not in pq.read_schema(file).names:
                    return None
                values = pq.read_table(file, columns=["label"])["label"].to_pylist()
            labels |= {f"{name}#{row}": str(value) for row, value in enumerate(values)}
        return labels

    def _value(self, name: str, row: int) -> bytes | None:
        starts = self._starts(name)
        group = int(np.searchsorted(starts, row, side="right")) - 1
        if group >= len(starts) - 1:
            raise IndexError(row)
        with self._lock:
            if (name, group) not in self._groups:
                if len(self._groups) >= GROUPS_KEPT:
                    self._groups.pop(next(iter(self._groups)))
                self._groups[name, group] = self._read_group(name, group)
            values = self._groups[name, group]
        return values[row - int(starts[group])].as_py()

    def _read_group(self, name: str, group: int) -> pa.ChunkedArray:
        column, field = self._columns[name]
        with pq.ParquetFile(self._files[name]) as file:
            values = file.read_row_group(group, columns=[column])[column]
        if field is None:
            return values
        return pa.chunked_array([chunk.field(field) for chunk in values.chunks])

    @cache  # noqa: B019 - a source lives as long as the command
    def _starts(self, name: str) -> np.ndarray:
        """First row of each row group, and the number of rows: int64 (groups + 1,)."""
        with _readable(self._files[name]):
            metadata = pq.read_metadata(self._files[name])
            sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
            if min(sizes, default=0) < 0 or sum(sizes) != metadata.num_rows:
                raise ValueError("its row groups don't have the number of rows it states")
        return np.cumsum([0, *sizes])


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # PyArrow raises almost anything on damaged files
        raise HeadlightError(
            f"{file} is not a readable Parquet file ({first_line(error)}): write it again"
        ) from error


def _image_column(file: Path) -> tuple[str, str | None]:
    """Name of the image column, and of the field in it that holds the bytes."""
    with _readable(file):
        schema = pq.read_schema(file)
        names = ", ".join(schema.names).splitlines() or [""]
        fields = sorted(schema, key=lambda field: field.name != "image")  # "image" first, if any
    for field in fields:
        if pa.types.is_struct(field.type) and "bytes" in {f.name for f in field.type}:
            return field.name, "bytes"
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return field.name, None
    raise HeadlightError(
        f"{file} has no image column: one must be binary, or a struct with a field `bytes` "
        f"(found {names[0][:200]})"
    )
