"""A folder of image files, walked recursively."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headlight.errors import reason
from headlight.images.file_types import claims_no_image
from headlight.images.listing import ImageRef, image_ref
from headlight.images.source import BadImage, ImageSource, within_limit

NOT_REGULAR = "not a regular file"


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

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
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
                        waiting += [prefix + name for name in names if not hidden(name)]
                    continue
            except OSError as error:
                yield image_ref(printable(path), "0:0", f"unreadable: {_why(error)}")
                continue
            if claims_no_image(path):
                others += 1
            elif printable(path) != path:
                problem = "the file name is not valid UTF-8: rename the file to use it"
                yield image_ref(printable(path), file_state(info), problem)
            elif not stat.S_ISREG(info.st_mode):
                # Opening a pipe or a device could wait for ever.
                yield image_ref(path, f"0:{info.st_mtime_ns}", NOT_REGULAR)
            else:
                yield image_ref(path, file_state(info))
        self.others = others

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        return read_file(self.file(path), limit)

    def file(self, path: str) -> Path:
        """The file behind ``path``; never one outside the folder.

        Raises:
            BadImage: ``path`` is absolute or climbs out with ``..``.
        """
        parts = path.split("/")
        if path.startswith("/") or ".." in parts:
            raise BadImage("a path outside the folder")
        return self.root.joinpath(*parts)


def read_file(file: Path, limit: int) -> bytes:
    """The bytes of a regular file: see `ImageSource.read`."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for ever
            raise BadImage(NOT_REGULAR)
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise BadImage(f"unreadable: {_why(error)}", gone) from error
    return within_limit(data, limit)


def file_state(info: os.stat_result) -> str:
    """What tells a changed file."""
    return f"{info.st_size}:{info.st_mtime_ns}"


def printable(path: str) -> str:
    """The path as valid Unicode: bytes that are not UTF-8 are written as ``\\xNN``."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def hidden(name: str) -> bool:
    """Whether a file or folder is passed over: its name begins with a dot, or it is a run."""
    return name.startswith(".") or name.endswith(".headlight")


def _why(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "its path is longer than the system allows: move it up, or shorten folders' names"
    return reason(error)
