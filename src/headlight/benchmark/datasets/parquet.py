"""Data sets as Parquet files, a file or several for each split, as Hugging Face's hub has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headlight.benchmark.datasets.base import Splits, require_labels
from headlight.errors import HeadlightError
from headlight.images import BadImage, ImageRef, ImageSource, image_ref
from headlight.images.files import LocalFiles
from headlight.images.folder import file_state
from headlight.images.parquet import ParquetSource

PART = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


class ParquetSplit(ImageSource):
    """Rows of some Parquet files, named ``FILE#ROW``, with their labels.

    Arguments:
        uri: what tells this source from others.
        files: with an image column each, all in one folder.
        labels: of each file the numbers of its rows and their labels, (m,) integers each, by the
            file's name.

    Raises:
        HeadlightError: a file is not Parquet, or has no image column.
    """

    def __init__(
        self, uri: str, files: Sequence[Path], labels: Mapping[str, tuple[np.ndarray, np.ndarray]]
    ) -> None:
        self.uri = uri
        self._files = {file.name: file for file in files}
        self._sources = {
            file.name: ParquetSource(LocalFiles(file.parent, [file.name])) for file in files
        }
        self._labels = labels

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        for name, file in self._files.items():
            info = file.stat()
            for row in self._labels[name][0].tolist():
                yield image_ref(f"{name}#{row}", file_state(info))

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        source = self._sources.get(path.rpartition("#")[0])
        if source is None:
            raise BadImage("not an image of this source")
        return source.read(path, limit)

    def labels(self) -> dict[str, str]:
        """The class of each image, as a number."""
        return {
            f"{name}#{row}": str(label)
            for name, (rows, labels) in self._labels.items()
            for row, label in zip(rows.tolist(), labels.tolist(), strict=True)
        }


def parquet_splits(data: Path, columns: Sequence[str], n_classes: int, title: str) -> Splits | None:
    """Train and test images; None if there are no Parquet files of either.

    Arguments:
        data: folder that holds them, or whose only subfolder with such files does.
        columns: names the labels may have; the first that is there counts.
        n_classes: labels go from 0 to one less.
        title: of the data set.

    Raises:
        HeadlightError: one split is missing, or a file is not what it should be.
    """
    found = {split: split_files(data, split) for split in ("train", "test")}
    if not any(found.values()):
        return None
    sources = []
    for split, files in found.items():
        if not files:
            raise HeadlightError(
                f"{data} has no {split}.parquet or {split}-*.parquet: train and test are needed"
            )
        labels = {}
        for file in files:
            values = read_labels(file, columns)
            require_labels(values, 0, n_classes, title, str(file))
            labels[file.name] = (np.arange(len(values)), values)
        sources.append(ParquetSplit(str(files[0].resolve()), files, labels))
    return Splits(*sources)


def split_files(data: Path, split: str) -> list[Path]:
    """``SPLIT.parquet``, or all of ``SPLIT-*.parquet``, in ``data`` or in one folder below it.

    Raises:
        HeadlightError: several folders have such files, or a part of them is missing.
    """
    folders = [data, *sorted(p for p in data.iterdir() if p.is_dir())] if data.is_dir() else []
    found = [files for folder in folders if (files := _in_folder(folder, split))]
    if not found:
        return []
    if len(found) > 1:
        names = ", ".join(str(files[0].parent) for files in found)
        raise HeadlightError(f"{names} all have {split} files: give one of them to --data")
    numbered = [m for file in found[0] if (m := PART.search(file.name))]
    if numbered and len(numbered) != int(numbered[0][2]):
        raise HeadlightError(
            f"{found[0][0].parent} has {len(numbered)} of the {int(numbered[0][2])} parts "
            f"{split}-*.parquet: put the others there too"
        )
    return found[0]


def _in_folder(folder: Path, split: str) -> list[Path]:
    whole = folder / f"{split}.parquet"
    return [whole] if whole.is_file() else sorted(folder.glob(f"{split}-*.parquet"))


def read_labels(file: Path, columns: Sequence[str]) -> np.ndarray:
    """The labels of all rows of a file.

    Arguments:
        file: Parquet.
        columns: the first of these that it has.

    Returns:
        (n,) int64.

    Raises:
        HeadlightError: not Parquet, no such column, or one that has anything but integers.
    """
    try:
        names = pq.read_schema(file).names
        column = next((name for name in columns if name in names), None)
        if column is None:
            raise HeadlightError(
                f"{file} has no column {' or '.join(columns)} (found {', '.join(names)})"
            )
        values = pq.read_table(file, columns=[column])[column]
    except (OSError, pa.ArrowException) as error:
        why = " ".join(str(error).split())
        raise HeadlightError(f"{file} is not a readable Parquet file: {why}") from error
    if not pa.types.is_integer(values.type) or values.null_count:
        what = f"{values.null_count} empty rows" if values.null_count else str(values.type)
        raise HeadlightError(f"{file}: column {column} must hold integers, but has {what}")
    return values.to_numpy().astype(np.int64)
