"""The feature store: one row per image, one float16 vector per view, in a Lance data set."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.errors import HeadlightError, first_line
from headlight.features.contents import as_numpy
from headlight.memory import available_memory

if TYPE_CHECKING:
    from headlight.clustering import Features

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that lance is not fork-safe: nothing here forks
    import lance

FORMAT = 2
METADATA_KEY = b"headlight"
CHECK_KEY = b"headlight.check"
SCAN_ROWS = 1024
FILTER_ROWS = 1000
CONTENT = pa.binary(16)
# What a row says of its image.
ROW = {
    "id": pa.int64(),
    "path": pa.string(),
    "stamp": pa.int64(),
    "content": CONTENT,
    "place": pa.uint64(),
}


RowKey = tuple[int, bytes | None]
"""Id and content: of two rows with one id, while a store is being updated, they tell which."""


@dataclass(frozen=True)
class StoreSettings:
    """What makes features comparable: a store never mixes rows with different settings.

    Arguments:
        source: `ImageSource.uri`.
        encoder: its short name.
        weights: SHA-256 of its weights.
        dim: length of one vector.
        views: augmented views per image, besides the plain one.
        engine: what computed them; rows of another engine are refused.
        dims: lengths of the vectors of several encoders, concatenated in one of length `dim`;
            empty: one encoder.
        view_images: approximate number of images with augmented views; None: all.
    """

    source: str
    encoder: str
    weights: str
    dim: int
    views: int
    engine: str
    format: int = FORMAT
    dims: tuple[int, ...] = ()
    view_images: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))  # JSON gives a list

    def differences(self, other: StoreSettings) -> list[str]:
        """What ``other`` wants otherwise, in words; empty if its rows may join."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name} {_short(mine[name])}, not {_short(theirs[name])}"
            for name in mine
            if name != "engine" and mine[name] != theirs[name]
        ]


def _short(value: object) -> str:
    text = "all" if value is None else str(value)
    return text[:12] + "…" if len(text) == 64 and text.isalnum() else text


class FeatureStore:
    """Features on disk. Appends are atomic and durable: a kill loses none that has returned.

    Lance has no checksums: a column ``check`` holds CRC-32s of each row's id, stamp, path and
    content, and of each view's vector after them. What is read is compared with them.

    Arguments:
        path: the Lance folder.
        settings: of the features in it.

    Use `FeatureStore.open` or `FeatureStore.create`.
    """

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        self.path = path
        self.settings = settings

    @classmethod
    def create(cls, path: Path, settings: StoreSettings) -> FeatureStore:
        """Create an empty store at ``path``, which must not exist, atomically."""
        fields = [(name, kind) for name, kind in ROW.items() if name != "place"]
        vector = pa.list_(pa.float16(), settings.dim)
        fields += [(f"view_{v}", vector) for v in range(settings.views + 1)]
        fields.append(("check", pa.list_(pa.int64(), settings.views + 2)))
        schema = pa.schema(fields, _metadata(settings))
        for left in path.parent.glob(f".{path.name}.*"):  # by an attempt that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            lance.write_dataset(schema.empty_table(), Path(folder) / "new", mode="create")
            (Path(folder) / "new").rename(path)
        return cls(path, settings)

    @classmethod
    def open(cls, path: Path) -> FeatureStore:
        """Open the store at ``path``.

        Raises:
            HeadlightError: there is no store, it is damaged, or another version of headlight wrote
                it.
        """
        if not path.exists():
            raise HeadlightError(f"{path.parent} holds no features: run `headlight embed` first")
        with _intact(path):
            metadata = lance.dataset(path).schema.metadata or {}
            values = json.loads(metadata[METADATA_KEY])
            if values["format"] != FORMAT:
                raise HeadlightError(
                    f"{path} was written by another version of headlight: use that one, or delete "
                    "it and embed again"
                )
            if metadata[CHECK_KEY] != _crc(metadata[METADATA_KEY]):
                raise ValueError("its settings are not those written")
            settings = StoreSettings(**values)
        return cls(path, settings)

    def __len__(self) -> int:
        with _intact(self.path):
            return lance.dataset(self.path).count_rows()

    def append(
        self,
        ids: Sequence[int],
        paths: Sequence[str],
        stamps: Sequence[int],
        contents: Sequence[bytes | None],
        features: Sequence[np.ndarray],
    ) -> None:
        """Add rows in one commit.

        Arguments:
            ids: signed 64-bit.
            paths: of the images.
            stamps: signed 64-bit marks of the files' states.
            contents: `headlight.images.content_hash` of each file; None: not known.
            features: of each image (1 + views, dim) float16, or (1, dim) if it has no views.
        """
        columns = {
            "id": pa.array(ids, pa.int64()),
            "path": pa.array(paths, pa.string()),
            "stamp": pa.array(stamps, pa.int64()),
            "content": pa.array(contents, CONTENT),
        }
        nothing = np.zeros(self.settings.dim, np.float16)
        for v in range(self.settings.views + 1):
            missing = np.array([len(one) <= v for one in features])
            rows = [
                nothing if gone else one[v] for one, gone in zip(features, missing, strict=True)
            ]
            columns[f"view_{v}"] = pa.FixedSizeListArray.from_arrays(
                pa.array(np.concatenate(rows)),
                self.settings.dim,
                mask=pa.array(missing) if missing.any() else None,
            )
        checks = [
            _checks(key, one) + [0] * (self.settings.views + 1 - len(one))
            for key, one in zip(_keys(ids, stamps, paths, contents), features, strict=True)
        ]
        columns["check"] = pa.array(checks, pa.list_(pa.int64(), self.settings.views + 2))
        with _intact(self.path):
            dataset = lance.dataset(self.path)
            if "content" not in dataset.schema.names:  # made before contents were kept
                dataset.add_columns(pa.field("content", CONTENT))
                dataset = lance.dataset(self.path)
        table = pa.table([columns[name] for name in dataset.schema.names], schema=dataset.schema)
        lance.write_dataset(table, self.path, mode="append")

    def delete(self, places: np.ndarray) -> None:
        """Remove the rows at these places, which `rows` gave."""
        if not len(places):
            return
        dataset = lance.dataset(self.path)
        for chunk in _chunks(places):
            dataset.delete(f"_rowid in ({chunk})")

    def set_source(self, source: str) -> None:
        """Change where the images are said to be, atomically."""
        settings = replace(self.settings, source=source)
        with _intact(self.path):
            dataset = lance.dataset(self.path)
        dataset.update_schema_metadata(_metadata(settings), replace=True)
        self.settings = settings
        self.tidy()

    def tidy(self) -> None:
        """Delete files that earlier commits left behind: old manifests and deleted rows."""
        lance.dataset(self.path).cleanup_old_versions(older_than=timedelta(0))

    def rows(self, *columns: str) -> pa.Table:
        """What is known of every row beside its features, in the order in which rows were added.

        Arguments:
            columns: some of ``id``, ``path``, ``stamp`` and ``content`` (see `append`), and
                ``place``, which `delete` takes: uint64.

        Raises:
            HeadlightError: the store is damaged; all reading methods raise this.
        """
        schema = pa.schema([(name, ROW[name]) for name in columns])
        return pa.Table.from_batches(
            (batch.select(columns).cast(schema) for batch, _ in self.scan(())), schema
        )

    def views_of(self, rows: Iterable[RowKey]) -> dict[RowKey, np.ndarray]:
        """Features of some rows, read in one pass for every thousand.

        Arguments:
            rows: id and content of each.

        Returns:
            Of each of these (1 + views, dim) float16, or (1, dim) if it has no views.
        """
        wanted = set(rows)
        views = range(self.settings.views + 1)
        found: dict[RowKey, np.ndarray] = {}
        for chunk in _chunks(sorted({one for one, _ in wanted})):
            for batch, vectors in self.scan(views, f"id in ({chunk})"):
                there = [iter(batch[f"view_{v}"].is_valid().to_pylist()) for v in views]
                streams = [iter(one) for one in vectors]
                keys = zip(batch["id"].to_pylist(), batch["content"].to_pylist(), strict=True)
                for key in keys:
                    stack = [next(s) for s, has in zip(streams, there, strict=True) if next(has)]
                    if key in wanted:
                        found[key] = np.stack(stack)
        return found

    def load(self, *, by_content: bool = False) -> tuple[pa.Array, Features]:
        """All features, in an order independent of that of appends.

        Arguments:
            by_content: sorted by the images' content, whatever they are called; else, and among
                copies, by the bytes of the path.

        Returns:
            paths: (n,) strings.
            features: float16; memory maps of unlinked temporary files beside the store when they
                would fill more than half of the free memory.
        """
        with _intact(self.path):
            dataset = lance.dataset(self.path)
            paths = dataset.to_table(columns=["path"], scan_in_order=True)["path"].combine_chunks()
            there = self._have_views(dataset)
        order = pc.sort_indices(paths).to_numpy()
        if by_content:
            contents = as_numpy(self.rows("content")["content"])
            order = order[np.argsort(contents[order], kind="stable")]
        target = np.empty(len(order), np.int64)
        target[order] = np.arange(len(order))
        return paths.take(pa.array(order)), self._features(target, there)

    def _features(self, target: np.ndarray, there: np.ndarray) -> Features:
        """All features, those of row i at the place target[i]; there: which rows have views."""
        from headlight.clustering.features import Features  # which takes PyTorch

        n, views, dim = len(target), self.settings.views, self.settings.dim
        start = 0
        if there.all():
            features = _allocate((n, views + 1, dim), self.path)
            for _, vectors in self.scan(range(views + 1)):
                features[target[start : start + len(vectors[0])]] = np.stack(vectors, axis=1)
                start += len(vectors[0])
            return Features(features[:, 0], features[:, 1:])
        viewed = np.sort(target[there])
        plain = _allocate((n, dim), self.path)
        augmented = _allocate((len(viewed), views, dim), self.path)
        for _, vectors in self.scan(range(views + 1)):
            part = slice(start, start + len(vectors[0]))
            plain[target[part]] = vectors[0]
            places = np.searchsorted(viewed, target[part][there[part]])
            augmented[places] = np.stack(vectors[1:], axis=1)
            start = part.stop
        return Features(plain, augmented, viewed)

    def _have_views(self, dataset: lance.LanceDataset) -> np.ndarray:
        """Which rows have augmented views, or all if none are wanted: (n,) bool."""
        if not self.settings.views:
            return np.ones(dataset.count_rows(), bool)
        table = dataset.to_table(columns={"there": "view_1 is not null"}, scan_in_order=True)
        return table["there"].to_numpy()

    def scan(
        self, views: Sequence[int], where: str | None = None
    ) -> Iterator[tuple[pa.RecordBatch, list[np.ndarray]]]:
        """All rows, some thousand at a time, in the order they were added, checked.

        Arguments:
            views: which to read, ascending.
            where: which rows, in SQL; None: all.

        Returns:
            Iterator of the columns that `rows` can give, and of each view the vectors,
            (rows, dim) float16; rows without that view are left out.
        """
        names = [f"view_{v}" for v in views]
        with _intact(self.path):
            dataset = lance.dataset(self.path)
            known = [name for name in ROW if name in dataset.schema.names]
            scan = dataset.to_batches(
                columns=[*known, "check", *names],
                filter=where,
                batch_size=SCAN_ROWS,
                scan_in_order=True,
                batch_readahead=2,
                with_row_id=True,
            )
            for scanned in scan:
                batch = _row_columns(scanned)
                columns = [batch[name] for name in names]
                self._check(batch, views, columns)
                flat = (column.flatten().to_numpy() for column in columns)
                yield batch, [vectors.reshape(-1, self.settings.dim) for vectors in flat]

    def _check(self, batch: pa.RecordBatch, views: Sequence[int], columns: list[pa.Array]) -> None:
        checks = batch["check"].flatten().to_numpy().reshape(len(batch), -1)
        paths = batch["path"].to_pylist()
        keys = _keys(
            batch["id"].to_pylist(),
            batch["stamp"].to_pylist(),
            paths,
            batch["content"].to_pylist(),
        )
        crcs = np.fromiter((zlib.crc32(key) for key in keys), np.int64, len(batch))
        wrong = crcs != checks[:, 0]
        for view, column in zip(views, columns, strict=True):
            there = column.is_valid().to_numpy(zero_copy_only=False)
            vectors = column.flatten().to_numpy().reshape(-1, self.settings.dim)
            found = np.zeros(len(batch), np.int64)
            found[there] = [
                zlib.crc32(vector, crc)
                for vector, crc in zip(vectors, crcs[there].tolist(), strict=True)
            ]
            wrong |= found != checks[:, view + 1]
        if wrong.any():
            raise ValueError(
                f"the features of {paths[int(wrong.argmax())]!r} are not those written"
            )


def _row_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With the place of each row, and its content where that is not known."""
    batch = batch.rename_columns({"_rowid": "place"})
    if "content" not in batch.schema.names:  # the store was made before contents were kept
        batch = batch.append_column("content", pa.nulls(len(batch), CONTENT))
    return batch


def _metadata(settings: StoreSettings) -> dict[str, str]:
    about = json.dumps(asdict(settings))
    return {METADATA_KEY.decode(): about, CHECK_KEY.decode(): _crc(about.encode()).decode()}


def _chunks(numbers: Sequence[int] | np.ndarray) -> Iterator[str]:
    """For SQL, some at a time."""
    for start in range(0, len(numbers), FILTER_ROWS):
        yield ", ".join(str(number) for number in numbers[start : start + FILTER_ROWS])


def _keys(
    ids: Sequence[int],
    stamps: Sequence[int],
    paths: Sequence[str],
    contents: Sequence[bytes | None],
) -> Iterator[bytes]:
    for one, stamp, path, content in zip(ids, stamps, paths, contents, strict=True):
        yield b"%d %d %b%b" % (one, stamp, path.encode(), content or b"")


def _checks(key: bytes, vectors: np.ndarray) -> list[int]:
    """The CRC-32 of a row's key, and of each vector after it."""
    crc = zlib.crc32(key)
    return [crc, *(zlib.crc32(vector.tobytes(), crc) for vector in vectors)]


def _crc(data: bytes) -> bytes:
    return b"%d" % zlib.crc32(data)


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    """Damage to the store at ``path`` becomes one sentence."""
    try:
        yield
    except (HeadlightError, GeneratorExit, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # Lance's panics are no Exception
        raise HeadlightError(
            f"{path} is damaged or not headlight's ({first_line(error)}): delete it and embed again"
        ) from error


def _allocate(shape: tuple[int, ...], beside: Path) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * 2
    if size <= available_memory() // 2:
        return np.empty(shape, np.float16)
    if shutil.disk_usage(beside.parent).free < size:
        raise HeadlightError(
            f"the features need {size / 2**30:.1f} GiB, more than fits in memory, and "
            f"{beside.parent} has no room for a temporary copy: free some space"
        )
    with tempfile.NamedTemporaryFile(dir=beside.parent, prefix=".features-") as file:
        return np.memmap(file, np.float16, "w+", shape=shape)
