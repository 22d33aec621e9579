"""Features made elsewhere: read from a file, and put into the store as if embedded here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headlight.errors import HeadlightError
from headlight.features.embed import EmbedReport, Known, Progress
from headlight.features.store import FeatureStore
from headlight.images import ImageRef, ImageSource

ROWS = 4096
# What `ImageSource` names an image by, and what a table of features must name it by.
PATH = "path"


class FeatureFile:
    """A file of features: NumPy (.npy), Parquet or Lance.

    Arguments:
        path: ``.npy`` holds (n, dim) or (n, views, dim), view 0 plain, one row an image in the
            order of the images' paths, compared as bytes. Tables (``.parquet``, ``.lance``) hold a
            column ``path`` with the images' paths inside their source, and the features: columns
            ``view_0``, ``view_1``, … if there are any, else the only column of lists of numbers.

    Raises:
        HeadlightError: it isn't there, or is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise HeadlightError(f"{path}: no such file of features")
        try:
            self._open()
        except (OSError, ValueError, pa.ArrowException, RuntimeError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise HeadlightError(f"{path} is not a readable file of features: {first}") from error

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
            HeadlightError: other than one row an image, or rows of different lengths.
        """
        if self.path.suffix == ".npy":
            if len(self._array) != len(order):
                raise HeadlightError(
                    f"{self.path} has {len(self._array):,} rows, the source {len(order):,} images: "
                    "give one row an image, or a table with a column path"
                )
            for i, path in enumerate(order):
                yield path, np.array(self._array[i]).reshape(self.views, self.dim)
            return
        for table in self._tables():
            values = []
            for name in self._columns:
                column = table.column(name).combine_chunks()
                flat = column.flatten().to_numpy(zero_copy_only=False)
                if column.null_count or flat.size != len(table) * self.dim:
                    raise HeadlightError(
                        f"{self.path}: column {name} has rows of another length than {self.dim}"
                    )
                values.append(flat.reshape(len(table), self.dim))
            block = np.stack(values, axis=1)
            yield from zip(table.column(PATH).to_pylist(), block, strict=True)

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
    if PATH not in schema.names or not found or (len(found) > 1 and found is lists):
        raise HeadlightError(
            f"{path} must have a column path and one column of lists of numbers, or view_0, "
            f"view_1, …; it has {', '.join(schema.names)}"
        )
    return found


def _numbers(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return (lists or pa.types.is_fixed_size_list(kind)) and pa.types.is_floating(kind.value_type)


def import_features(
    source: ImageSource, store: FeatureStore, file: FeatureFile, progress: Progress | None = None
) -> EmbedReport:
    """Brings ``store`` in step with ``source``, taking features from ``file``.

    Arguments:
        source: the images; none is opened.
        store: where features go.
        file: of the features.
        progress: told the number of images done and their total.

    Returns:
        What was found and done; images without a row are quarantined.

    Raises:
        HeadlightError: no row is of any image in the source.
    """
    known = Known(*store.stamps())
    stale = known.drop_stale(source)
    store.delete(stale)
    refs = {ref.path: ref for ref in source}
    report = EmbedReport(kept=len(known.ids), gone=known.gone)
    missing = {path for path, ref in refs.items() if not known.has(ref)}
    rows: list[tuple[ImageRef, np.ndarray]] = []

    def commit() -> None:
        taken, features = zip(*rows, strict=True)
        rows.clear()
        store.append(
            [r.id for r in taken], [r.path for r in taken], [r.stamp for r in taken], features
        )

    order = sorted(refs, key=lambda path: path.encode("utf-8", "surrogatepass"))
    for path, features in file.rows(order):
        if path not in missing:
            continue
        missing.remove(path)
        ref = refs[path]
        with np.errstate(over="ignore"):
            half = features.astype(np.float16)
        if np.isfinite(half).all():
            rows.append((ref, half))
            report.added += ref.id not in known.changed
            report.changed += ref.id in known.changed
        else:
            report.quarantine.append((path, f"{file.path.name} has values beyond float16"))
        if len(rows) >= ROWS:
            commit()
        if progress:
            progress(len(refs) - len(missing), len(refs))
    if rows:
        commit()
    if not len(store) and not report.quarantine:
        raise HeadlightError(
            f"{file.path}: none of its paths is an image of {source.uri}, such as {order[0]!r}"
        )
    report.quarantine += [(path, f"no features in {file.path.name}") for path in sorted(missing)]
    store.tidy()
    return report
