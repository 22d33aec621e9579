"""Precomputed features: read from a file, and stored as if embedded here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headlight.counts import counted
from headlight.errors import HeadlightError, first_line
from headlight.features.store import FeatureStore
from headlight.features.update import EmbedReport, Progress, StoreUpdate
from headlight.images import BadImage, ImageSource

ROWS = 4096
# What `ImageSource` names an image by, and what a table of features must name it by.
PATH = "path"


class FeatureFile:
    """A file of features: NumPy (.npy), Parquet or Lance.

    Arguments:
        path: ``.npy`` holds (n, dim) or (n, views, dim), view 0 plain, one row per image in the
            order of the images' paths, compared as bytes. Tables (``.parquet``, ``.lance``) hold a
            column ``path`` with the images' paths inside their source, and the features: columns
            ``view_0``, ``view_1``, … if there are any, else the only column of lists of numbers.

    Raises:
        HeadlightError: there is no such file, or it is not a file of features.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise HeadlightError(f"{path}: no such file of features")
        with self._readable():
            self._open()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except HeadlightError:
            raise
        except Exception as error:  # NumPy, PyArrow and Lance raise almost anything
            raise HeadlightError(
                f"{self.path} is not a readable file of features ({first_line(error)}): "
                "write it again"
            ) from error

    def _open(self) -> None:
        if self.path.suffix == ".npy":
            self._array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            shape = self._array.shape
            if len(shape) not in (2, 3) or self._array.dtype.kind != "f" or 0 in shape:
                raise HeadlightError(
                    f"{self.path} holds {self._array.dtype} of shape {shape}: features must be "
                    "floating-point, (n, dim) or (n, views, dim)"
                )
            self.views, self.dim = (1 if len(shape) == 2 else shape[1]), shape[-1]
            return
        schema = self._schema()
        self._columns = _feature_columns(schema, self.path)
        first = next(self._tables()).column(self._columns[0])[0].as_py()
        self.views, self.dim = len(self._columns), len(first)
        if not self.dim:
            raise ValueError("its features have length 0")

    @property
    def hash(self) -> str:
        """SHA-256 of the file, or of all files of a Lance data set."""
        digest = hashlib.sha256()
        files = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
        for file in files:
            if file.is_file():
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def rows(self, order: list[str]) -> Iterator[tuple[str, np.ndarray]]:
        """(path, features (views, dim) as they are in the file) of every row.

        Arguments:
            order: paths of all images, sorted by their bytes: what the rows of ``.npy`` are of.

        Raises:
            HeadlightError: the number of rows is not that of the images, or rows differ in length.
        """
        if self.path.suffix == ".npy":
            if len(self._array) != len(order):
                raise HeadlightError(
                    f"{self.path} has {counted(len(self._array), 'row')}, "
                    f"the source {counted(len(order), 'image')}: "
                    "give one row per image, or a table with a column path"
                )
            for i, path in enumerate(order):
                yield path, np.array(self._array[i]).reshape(self.views, self.dim)
            return
        with self._readable():
            for table in self._tables():
                columns = [self._column(table, name) for name in self._columns]
                yield from zip(
                    table.column(PATH).to_pylist(), np.stack(columns, axis=1), strict=True
                )

    def _column(self, table: pa.Table, name: str) -> np.ndarray:
        """One view of the rows of ``table``: (rows, dim)."""
        column = table.column(name).combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if column.null_count or flat.size != len(table) * self.dim:
            raise HeadlightError(
                f"{self.path}: column {name} has rows of another length than {self.dim}"
            )
        return flat.reshape(len(table), self.dim)

    def _schema(self) -> pa.Schema:
        if self.path.suffix == ".parquet":
            return pq.read_schema(self.path)
        if self.path.suffix == ".lance":
            import lance

            return lance.dataset(self.path).schema
        raise HeadlightError(f"{self.path}: features must be in a .npy, .parquet or .lance file")

    def _tables(self) -> Iterator[pa.Table]:
        wanted = [PATH, *self._columns]
        if self.path.suffix == ".parquet":
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(ROWS, columns=wanted):
                    yield pa.Table.from_batches([batch])
            return
        import lance

        for batch in lance.dataset(self.path).to_batches(columns=wanted, batch_size=ROWS):
            yield pa.Table.from_batches([batch])


def _feature_columns(schema: pa.Schema, path: Path) -> list[str]:
    """Columns that hold features, plain view first."""
    lists = [field.name for field in schema if _numbers(field.type)]
    numbered = [f"view_{v}" for v in range(len(lists))]
    found = numbered if lists and set(numbered) == set(lists) else lists
    named = PATH in schema.names and pa.types.is_string(schema.field(PATH).type)
    if not named or not found or (len(found) > 1 and found is lists):
        raise HeadlightError(
            f"{path} must have a column path of strings and one column of lists of numbers, or "
            f"view_0, view_1, …; it has {' '.join(', '.join(schema.names).split())[:200]}"
        )
    return found


def _numbers(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return (lists or pa.types.is_fixed_size_list(kind)) and pa.types.is_floating(kind.value_type)


def import_features(
    source: ImageSource, store: FeatureStore, file: FeatureFile, progress: Progress | None = None
) -> EmbedReport:
    """Update ``store`` from ``source``, with features from ``file``.

    Arguments:
        source: the images; none is opened.
        store: where features go.
        file: of the features.
        progress: called with the number of images done and their total.

    Returns:
        What was done; images without a row are quarantined.

    Raises:
        HeadlightError: no row belongs to an image of the source.
    """
    with StoreUpdate(source, store, store.settings.engine, progress, reads=False) as update:
        missing = {ref.path: ref for ref in update.todo()}
        order = sorted(
            (ref.path for ref in source), key=lambda path: path.encode("utf-8", "surrogatepass")
        )
        for path, features in file.rows(order):
            if ref := missing.pop(path, None):
                update.add(ref, None, features)
        for ref in sorted(missing.values(), key=lambda ref: ref.path):
            update.add(ref, None, BadImage(f"no features in {file.path.name}"))
    if len(missing) == len(order):
        raise HeadlightError(
            f"{file.path}: none of its paths is an image of {source.uri}, such as {order[0]!r}"
        )
    return update.report
