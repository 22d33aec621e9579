"""The feature store: one row an image, one float16 vector a view, in a Lance data set."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.errors import HeadlightError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that lance is not fork-safe: nothing here forks
    import lance

FORMAT = 1
METADATA_KEY = b"headlight"
SCAN_ROWS = 1024
DELETE_ROWS = 1000


@dataclass(frozen=True)
class StoreSettings:
    """What makes features comparable: rows made with other settings never share a store.

    Arguments:
        source: `ImageSource.uri`.
        encoder: its short name.
        weights: SHA-256 of its weights.
        dim: length of one vector.
        views: augmented views an image, beside the plain one.
        engine: what computed them; another one is said, not refused (differences are rounding).
        dims: lengths of the vectors of fused encoders, which stand side by side in one of `dim`;
            empty: there is one encoder.
        view_images: how many images have augmented views, about; None: all.
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


@dataclass(frozen=True)
class Stored:
    """All features of a store, in the order of the paths' bytes.

    Arguments:
        plain: (n, dim) float16, view 0.
        augmented: (m, views, dim) float16, the other views of the rows that have them.
        viewed: (m,) int64, which rows those are, sorted.
        whole: (n, 1 + views, dim) float16, both in one array, where all rows have views (or none
            is wanted); else None.
    """

    plain: np.ndarray
    augmented: np.ndarray
    viewed: np.ndarray
    whole: np.ndarray | None

    def to_fit(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
        """`SCP.fit`'s ``X`` and ``augmented``."""
        if self.whole is None:
            return self.plain, (self.viewed, self.augmented)
        return self.whole, None


class FeatureStore:
    """Features on disk. Appends commit whole or not at all; a kill loses none that returned.

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
        """Makes an empty store at ``path``, where nothing may be yet; whole or not at all."""
        fields = [("id", pa.int64()), ("path", pa.string()), ("stamp", pa.int64())]
        vector = pa.list_(pa.float16(), settings.dim)
        fields += [(f"view_{v}", vector) for v in range(settings.views + 1)]
        schema = pa.schema(fields, {METADATA_KEY: json.dumps(asdict(settings)).encode()})
        for left in path.parent.glob(f".{path.name}.*"):  # by an attempt that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            lance.write_dataset(schema.empty_table(), Path(folder) / "new", mode="create")
            (Path(folder) / "new").rename(path)
        return cls(path, settings)

    @classmethod
    def open(cls, path: Path) -> FeatureStore:
        """Opens the store at ``path``.

        Raises:
            HeadlightError: there is none, it is damaged, or a newer headlight wrote it.
        """
        if not path.exists():
            raise HeadlightError(f"{path.parent} holds no features: run `headlight embed` first")
        try:
            metadata = (lance.dataset(path).schema.metadata or {})[METADATA_KEY]
            settings = StoreSettings(**json.loads(metadata))
        except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
            raise HeadlightError(
                f"{path} is damaged or not headlight's ({_first_line(error)}): "
                "delete it and embed again"
            ) from error
        if settings.format != FORMAT:
            raise HeadlightError(f"{path} was written by another version of headlight: update it")
        return cls(path, settings)

    def __len__(self) -> int:
        return lance.dataset(self.path).count_rows()

    def append(
        self,
        ids: Sequence[int],
        paths: Sequence[str],
        stamps: Sequence[int],
        features: Sequence[np.ndarray],
    ) -> None:
        """Adds rows in one commit.

        Arguments:
            ids: signed 64-bit, unique in the store.
            paths: of the images.
            stamps: signed 64-bit marks of the files' states.
            features: of each image (1 + views, dim) float16, or (1, dim) if it has no views.
        """
        columns = [pa.array(ids, pa.int64()), pa.array(paths, pa.string())]
        columns.append(pa.array(stamps, pa.int64()))
        nothing = np.zeros(self.settings.dim, np.float16)
        for v in range(self.settings.views + 1):
            missing = np.array([len(one) <= v for one in features])
            rows = [
                nothing if gone else one[v] for one, gone in zip(features, missing, strict=True)
            ]
            columns.append(
                pa.FixedSizeListArray.from_arrays(
                    pa.array(np.concatenate(rows)),
                    self.settings.dim,
                    mask=pa.array(missing) if missing.any() else None,
                )
            )
        schema = lance.dataset(self.path).schema
        lance.write_dataset(pa.table(columns, schema=schema), self.path, mode="append")

    def delete(self, ids: np.ndarray) -> None:
        """Removes the rows with these ids."""
        dataset = lance.dataset(self.path)
        for start in range(0, len(ids), DELETE_ROWS):
            chunk = ", ".join(str(i) for i in ids[start : start + DELETE_ROWS])
            dataset.delete(f"id in ({chunk})")

    def tidy(self) -> None:
        """Drops what earlier commits left behind: old manifests and deleted rows' files."""
        lance.dataset(self.path).cleanup_old_versions(older_than=timedelta(0))

    def stamps(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and stamps of all rows, (n,) int64 each."""
        table = lance.dataset(self.path).to_table(columns=["id", "stamp"])
        return table["id"].to_numpy(), table["stamp"].to_numpy()

    def load(self) -> tuple[pa.Array, Stored]:
        """All features, in the order of the paths' bytes: the same however they got here.

        Returns:
            paths: (n,) strings.
            features: float16; memory maps of unlinked temporary files beside the store when they
                would fill more than half of the free memory.
        """
        dataset = lance.dataset(self.path)
        paths = dataset.to_table(columns=["path"], scan_in_order=True)["path"].combine_chunks()
        order = pc.sort_indices(paths).to_numpy()
        target = np.empty(len(order), np.int64)
        target[order] = np.arange(len(order))
        found = self._stored(dataset, target)
        return paths.take(pa.array(order)), found

    def _stored(self, dataset: lance.LanceDataset, target: np.ndarray) -> Stored:
        """All features, those of row i at the place target[i]."""
        n, views, dim = len(target), self.settings.views, self.settings.dim
        there = self._have_views(dataset)
        if there.all():
            features = _allocate((n, views + 1, dim), self.path)
            for start, vectors in self._batches(dataset):
                features[target[start : start + len(vectors[0])]] = np.stack(vectors, axis=1)
            return Stored(features[:, 0], features[:, 1:], np.arange(n), features)
        viewed = np.sort(target[there])
        plain = _allocate((n, dim), self.path)
        augmented = _allocate((len(viewed), views, dim), self.path)
        for start, vectors in self._batches(dataset):
            part = slice(start, start + len(vectors[0]))
            plain[target[part]] = vectors[0]
            places = np.searchsorted(viewed, target[part][there[part]])
            augmented[places] = np.stack(vectors[1:], axis=1)
        return Stored(plain, augmented, viewed, None)

    def _have_views(self, dataset: lance.LanceDataset) -> np.ndarray:
        """Which rows have augmented views, or all if none are wanted: (n,) bool."""
        if not self.settings.views:
            return np.ones(dataset.count_rows(), bool)
        table = dataset.to_table(columns={"there": "view_1 is not null"}, scan_in_order=True)
        return table["there"].to_numpy()

    def _batches(self, dataset: lance.LanceDataset) -> Iterator[tuple[int, list[np.ndarray]]]:
        """First row, and the vectors (rows, dim) of each view; rows without a view are left out."""
        names = [f"view_{v}" for v in range(self.settings.views + 1)]
        scan = dataset.to_batches(
            columns=names, batch_size=SCAN_ROWS, scan_in_order=True, batch_readahead=2
        )
        start = 0
        for batch in scan:
            columns = (batch[name].flatten().to_numpy() for name in names)
            yield start, [column.reshape(-1, self.settings.dim) for column in columns]
            start += len(batch)


def _allocate(shape: tuple[int, ...], beside: Path) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * 2
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size <= free // 2:
        return np.empty(shape, np.float16)
    if shutil.disk_usage(beside.parent).free < size:
        raise HeadlightError(
            f"the features need {size / 2**30:.1f} GiB, more than fits in memory, and "
            f"{beside.parent} has no room for a temporary copy: free some space"
        )
    with tempfile.NamedTemporaryFile(dir=beside.parent, prefix=".features-") as file:
        return np.memmap(file, np.float16, "w+", shape=shape)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
