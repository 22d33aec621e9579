"""A folder of image files, walked recursively."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headlight.errors import reason
from headlight.images.file_types import claims_no_image
from headlight.images.source import BadImage, ImageRef, ImageSource


class FolderSource(ImageSource):
    """All files below a folder; whether one is an image is decided by its content, later.

    Names are visited in sorted order, folder by folder. Hidden files and folders (a leading dot)
    are skipped, and so are headlight's own runs, so that a run kept inside the folder doesn't
    cluster its own thumbnails. Files whose ending tells something else than an image or a video
    (``.txt``, ``.pdf``, ``Thumbs.db``) are counted in `others` and skipped. Links to folders are
    followed, each folder once: loops end.

    Arguments:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root.resolve())

    def __iter__(self) -> Iterator[ImageRef]:
        others = 0
        seen: set[tuple[int, int]] = set()
        waiting = [
            ""
        ]  # paths inside the root, the next one last; no recursion: folders nest deeply
        while waiting:
            path = waiting.pop()
            file = os.path.join(self.root, path) if path else os.fspath(self.root)  # noqa: PTH118
            try:
                info = os.stat(file)  # noqa: PTH116 - as above: a Path a file is slow
                if stat.S_ISDIR(info.st_mode):
                    if (info.st_dev, info.st_ino) not in seen:
                        seen.add((info.st_dev, info.st_ino))
                        names = sorted(os.listdir(file), reverse=True)  # noqa: PTH208
                        prefix = path and path + "/"
                        waiting += [prefix + name for name in names if not _hidden(name)]
                    continue
            except OSError as error:
                yield ImageRef(_printable(path), 0, 0, f"unreadable: {_why(error)}")
                continue
            if claims_no_image(path):
                others += 1
            elif _printable(path) != path:
                problem = "the file name is not valid UTF-8: rename the file to use it"
                yield ImageRef(_printable(path), info.st_size, info.st_mtime_ns, problem)
            elif not stat.S_ISREG(info.st_mode):
                # Opening a pipe or a device could wait for ever.
                yield ImageRef(path, 0, info.st_mtime_ns, "not a regular file")
            else:
                yield ImageRef(path, info.st_size, info.st_mtime_ns)
        self.others = others

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        file = self.file(path)
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for ever
                raise BadImage("not a regular file")
            with file.open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            raise BadImage(f"unreadable: {_why(error)}", gone) from error
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


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.endswith(".headlight")


def _why(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "its path is longer than the system allows: move it up, or shorten folders' names"
    return reason(error)
