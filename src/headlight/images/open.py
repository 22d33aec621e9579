"""From what the user typed to a source of images."""

from __future__ import annotations

import os
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.images.source import ImageSource


def open_source(spec: str | os.PathLike[str] | ImageSource) -> ImageSource:
    """The source that ``spec`` names.

    Arguments:
        spec: a folder (walked recursively), a Parquet file or a folder of them, or ``digits``.
            A folder counts as Parquet when it holds Parquet files and nothing else that shows.

    Raises:
        HeadlightError: there is no such folder or file, or it is neither.
    """
    if isinstance(spec, ImageSource):
        return spec
    path = Path(spec)
    if os.fspath(spec) == "digits" and not path.exists():
        from headlight.images.digits import DigitsSource

        return DigitsSource()
    if not path.exists():
        raise HeadlightError(f"{path}: no such folder or file")
    if path.is_dir() and not _all_parquet(path):
        from headlight.images.folder import FolderSource

        return FolderSource(path)
    if path.is_dir() or path.suffix == ".parquet":
        from headlight.images.parquet import ParquetSource

        return ParquetSource(path)
    raise HeadlightError(
        f"{path} is one file: give the folder that holds the images, or a Parquet file"
    )


def _all_parquet(folder: Path) -> bool:
    """Whether the files at the top of ``folder`` are Parquet, Hugging Face's text files aside."""
    names = [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    data = [n for n in names if not n.endswith((".md", ".json", ".txt")) and n != "LICENSE"]
    inside = (folder / n for n in data)
    return bool(data) and all(
        n.suffix == ".parquet" or (n.is_dir() and any(n.glob("*.parquet"))) for n in inside
    )
