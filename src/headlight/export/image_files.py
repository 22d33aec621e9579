"""The image files of an export: portable names, and links or copies."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from PIL import Image

from headlight.errors import reason
from headlight.images import BadImage, DecodeLimits, ImageSource
from headlight.images.decoding import FORMATS
from headlight.images.folder import FolderSource

Link = Literal["auto", "copy"]
CHUNK = 2**20
HEAD = 2**16  # bytes that tell an image's format
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k"),
    "ICO": (".ico",),
    "AVIF": (".avif",),
}
KNOWN = tuple(extension for several in EXTENSIONS.values() for extension in several)
MOST_BYTES = 255  # of one name, on every common file system
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,12}$")
_FORBIDDEN = frozenset('<>:"/\\|?*')  # on Windows; also every separator
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, direction marks, line ends
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.I)


def safe_name(name: str, extra: str = "", most_bytes: int = MOST_BYTES) -> str:
    """A name for a file or folder that is valid on Linux, macOS and Windows, similar to ``name``.

    Separators, characters that Windows forbids and those that can't be seen become ``_``, and so
    do leading dots (which hide a file) and names that Windows keeps for devices. A name too long
    loses the end of its stem, not its extension.

    Arguments:
        name: anything.
        extra: put between stem and extension; safe itself, and much shorter than ``most_bytes``.
        most_bytes: of the result in UTF-8.

    Returns:
        A name that is neither empty, ``.`` nor ``..``, and holds no separator.
    """
    clean = "".join(
        "_" if c in _FORBIDDEN or unicodedata.category(c) in _UNSEEN else c for c in name
    )
    clean = clean.strip(" ").rstrip(". ")  # Windows drops them silently
    bare = clean.lstrip(".")
    clean = "_" * (len(clean) - len(bare)) + bare
    if _RESERVED.match(clean):
        clean = "_" + clean
    found = _EXTENSION.search(clean)
    extension = found[0] if found and found.start() > 0 else ""
    stem = clean.removesuffix(extension)
    room = most_bytes - len((extra + extension).encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") or "_"
    return stem + extra + extension


def with_extension(name: str, data: bytes) -> str:
    """The name with the extension of the format found in the bytes, unless it has it.

    Arguments:
        name: of a file.
        data: its beginning.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            fitting = EXTENSIONS.get(image.format or "", (".bin",))
    except Exception:  # Pillow's plugins raise almost anything on damaged data
        fitting = (".bin",)
    return name if name.lower().endswith(fitting) else name + fitting[0]


def alternative_names(name: str, identity: str) -> Iterable[str]:
    """Names to try in turn for one image, until one is free.

    The second contains a hash of the whole path, so that for many images of the same name not every
    number is tried.

    Arguments:
        name: the image's own.
        identity: its path, unique in the source.
    """
    yield safe_name(name)
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    yield safe_name(name, f"~{digest[:8]}")
    yield safe_name(name, f"~{digest}")


def folder_names(clusters: dict[int, str]) -> dict[int, str]:
    """One folder name per cluster, no two alike even where case doesn't count.

    Arguments:
        clusters: cluster → its name; names may repeat.
    """
    taken: set[str] = set()
    folders = {}
    for cluster, name in clusters.items():
        folder = safe_name(name)
        number = 1
        while _folded(folder) in taken:
            number += 1
            # A dot would start an extension: "a.b" is a folder's whole name.
            folder = safe_name(name, most_bytes=MOST_BYTES - 12) + f"-{number}"
        taken.add(_folded(folder))
        folders[cluster] = folder
    return folders


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


class Placer:
    """Writes images of one source into folders.

    Arguments:
        source: the images.
        link: ``auto``: hard links where the source is a folder on the same disk; ``copy``: never.
        extensions: whether files without an image extension get one, as data loaders need; images
            from Parquet always do.
    """

    def __init__(self, source: ImageSource, link: Link = "auto", extensions: bool = False) -> None:
        self.source, self.link, self.extensions = source, link, extensions

    def place(self, path: str, folder: Path, name: str | None = None) -> tuple[Path, bool]:
        """Write one image into ``folder``.

        Arguments:
            path: of the image in its source.
            folder: an existing folder.
            name: the new name, without extension; its own if omitted.

        Returns:
            The new file, and whether it is a link.

        Raises:
            BadImage: it can't be read.
            OSError: it can't be written.
        """
        own = path.rsplit("/", 1)[-1]
        if not isinstance(self.source, FolderSource):
            data = self.source.read(path, DecodeLimits().file_bytes)
            target = _create(folder, self._names(own, name, path, data))
            target.write_bytes(data)
            return target, False
        file = _real_file(self.source, path)
        head = _head(file) if self._wants_extension(own) else b""
        names = list(self._names(own, name, path, head))
        if self.link == "auto" and (linked := _link(file, folder, names)):
            return linked, True
        return _copy(file, folder, names), False

    def _wants_extension(self, own: str) -> bool:
        return self.extensions and not own.lower().endswith(KNOWN)

    def _names(self, own: str, name: str | None, path: str, head: bytes) -> Iterable[str]:
        """Names to try in turn; ``head`` is the file's beginning, empty if it may stay unread."""
        if head or not isinstance(self.source, FolderSource):
            own = with_extension(own, head)
        if name is None:
            return alternative_names(own, path)
        extension = Path(safe_name(own)).suffix
        return alternative_names(name + extension.lower(), path)


def _real_file(source: FolderSource, path: str) -> Path:
    """The regular file behind ``path``, symbolic links followed: a link to a link is no image."""
    try:
        file = source.file(path).resolve(strict=True)
        regular = stat.S_ISREG(file.stat().st_mode)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise BadImage(f"gone: {getattr(error, 'strerror', None) or error}".lower()) from error
    if not regular:
        raise BadImage("not a regular file any more")
    return file


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(HEAD)
    except OSError as error:
        raise BadImage(f"unreadable: {reason(error)}") from error


def _link(file: Path, folder: Path, names: Iterable[str]) -> Path | None:
    for name in names:
        target = folder / name
        try:
            os.link(file, target)
        except FileExistsError:
            continue
        except FileNotFoundError as error:
            raise BadImage("gone: it vanished during the export") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            return None  # another disk, too many links, not allowed: a copy may still do
        return target
    raise BadImage(f"no free name for {file}")


def _copy(file: Path, folder: Path, names: Iterable[str]) -> Path:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise BadImage(f"unreadable: {reason(error)}") from error
    with stream:
        target = _create(folder, names)
        with target.open("wb") as out:
            while chunk := _read(stream, target):
                out.write(chunk)
        info = os.fstat(stream.fileno())
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
    return target


def _read(stream: io.BufferedReader, target: Path) -> bytes:
    try:
        return stream.read(CHUNK)
    except OSError as error:  # a bad sector costs this image, a full disk the export
        target.unlink()
        raise BadImage(f"unreadable: {reason(error)}") from error


def _create(folder: Path, names: Iterable[str]) -> Path:
    """A new, empty file: never one that is there, whatever the file system takes for the same."""
    for name in names:
        target = folder / name
        try:
            target.open("xb").close()
        except FileExistsError:
            continue
        return target
    raise BadImage(f"no free name for {name}")
