"""A folder of image files, walked recursively."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headlight.images.source import BadImage, ImageRef, ImageSource


class FolderSource(ImageSource):
    """All files below a folder; whether one is an image is decided by its content, later.

    Names are visited in sorted order, folder by folder. Hidden files and folders (a leading dot)
    are skipped, and so are headlight's own runs, so that a run kept inside the folder doesn't
    cluster its own thumbnails. Links to folders are followed, each folder once: loops end.

    Arguments:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root.resolve())

    def __iter__(self) -> Iterator[ImageRef]:
        yield from self._walk(self.root, "", set())

    def _walk(self, folder: Path, prefix: str, seen: set[tuple[int, int]]) -> Iterator[ImageRef]:
        try:
            here = folder.stat()
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths, are wanted
        except OSError as error:
            yield ImageRef(
                _printable(prefix.rstrip("/")), 0, 0, f"unreadable folder: {_why(error)}"
            )
            return
        if (here.st_dev, here.st_ino) in seen:
            return
        seen.add((here.st_dev, here.st_ino))
        for name in names:
            if name.startswith(".") or name.endswith(".headlight"):
                continue
            path = prefix + name
            try:
                info = (folder / name).stat()
            except OSError as error:
                yield ImageRef(_printable(path), 0, 0, f"unreadable: {_why(error)}")
                continue
            if stat.S_ISDIR(info.st_mode):
                yield from self._walk(folder / name, path + "/", seen)
            elif _printable(path) != path:
                reason = "the file name is not valid UTF-8: rename the file to use it"
                yield ImageRef(_printable(path), info.st_size, info.st_mtime_ns, reason)
            elif not stat.S_ISREG(info.st_mode):
                # Opening a pipe or a device could wait for ever.
                yield ImageRef(path, 0, info.st_mtime_ns, "not a regular file")
            else:
                yield ImageRef(path, info.st_size, info.st_mtime_ns)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        file = self.file(path)
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for ever
                raise BadImage("not a regular file")
            with file.open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError as error:
            raise BadImage(f"unreadable: {_why(error)}") from error
        if len(data) > limit:
            raise BadImage(f"larger than the limit of {limit / 2**20:.0f} MiB")
        return data

    def file(self, path: str) -> Path:
        """The file behind ``path``; never one outside the folder.

        Raises:
            BadImage: ``path`` is absolute or climbs out with ``..``.
        """
        parts = path.split("/")
        if path.startswith("/") or ".." in parts:
            raise BadImage("a path outside the folder")
        return self.root.joinpath(*parts)


def _printable(path: str) -> str:
    """The path as valid Unicode: bytes that are not UTF-8 are written as ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
