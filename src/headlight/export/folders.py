"""One folder a cluster, the images in it: linked where that is possible, else copied."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from PIL import Image

from headlight.errors import HeadlightError
from headlight.export.names import alternative_names, folder_names
from headlight.export.places import ExportReport, check_place, writing
from headlight.features import Progress
from headlight.images import BadImage, DecodeLimits, ImageSource
from headlight.images.decoding import FORMATS
from headlight.images.folder import FolderSource
from headlight.runs import Run

Link = Literal["auto", "copy"]
ROWS = 4096
CHUNK = 2**20
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


def export_folders(
    run: Run, dest: Path, link: Link = "auto", progress: Progress | None = None
) -> ExportReport:
    """Lays the images out as one folder a cluster; the originals stay where they are, untouched.

    An image is a hard link to the original file: no time, no room. But the two then share their
    content, and a program that changes one in place changes both; ``link="copy"`` avoids that.
    Where links can't be made (another disk, images kept in Parquet) images are copied.

    The folder appears when it is complete; on failure or Ctrl-C nothing is left.

    Arguments:
        run: fitted.
        dest: folder to make; may exist if it is empty.
        link: ``auto`` or ``copy``.
        progress: told the number of images done and their total.

    Returns:
        What was done; images that have gone since are listed, not fatal.

    Raises:
        HeadlightError: ``dest`` is not free, lies in the run or among the images, can't be
            written, or there is not one image left to export.
    """
    if link not in ("auto", "copy"):
        raise HeadlightError(f"link {link!r}: give auto or copy")
    with writing(dest):
        _refuse_taken(dest)
        check_place(run, dest)
    source, table = run.source, run.assignments
    missing: list[tuple[str, str]] = []
    linked = done = 0
    with writing(dest), _appearing(dest) as root:
        folders = _make_folders(run, root)
        for path, cluster in _rows(table, source):
            done += 1
            try:
                linked += _export(source, path, folders[cluster], link)
            except BadImage as error:
                missing.append((path, str(error)))
            if progress:
                progress(done, len(table))
        if len(missing) == len(table):
            path, why = missing[0] if missing else ("", "the run has none")
            raise HeadlightError(f"no image of {source.uri} could be exported ({path}: {why})")
    exported = len(table) - len(missing)
    return ExportReport(dest, exported, linked, exported - linked, missing)


def _refuse_taken(dest: Path) -> None:
    if dest.is_symlink():
        raise HeadlightError(f"{dest} is a link: give a folder that doesn't exist yet")
    if not dest.exists():
        return
    if not dest.is_dir():
        raise HeadlightError(f"{dest} is a file: give a folder that doesn't exist yet")
    if any(dest.iterdir()):
        raise HeadlightError(f"{dest} is not empty: give a folder that doesn't exist yet")
    if dest.is_mount():
        raise HeadlightError(f"{dest} is where a disk is mounted: give a folder inside it")


@contextmanager
def _appearing(dest: Path) -> Iterator[Path]:
    """A hidden folder beside ``dest`` that takes its place on success and vanishes otherwise."""
    made: list[Path] = []
    root: Path | None = None
    try:
        made = _make_parents(dest)
        root = Path(tempfile.mkdtemp(prefix=".headlight-export-", dir=dest.parent))
        yield root
        root.chmod(_default_mode(root))
        if dest.exists():
            dest.rmdir()  # empty, or this fails
        root.rename(dest)
    except BaseException:
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def _make_parents(dest: Path) -> list[Path]:
    """Makes the folders above ``dest``; the list is of those that were not there, deepest first."""
    absent = [folder for folder in dest.parents if not folder.exists()]
    dest.parent.mkdir(parents=True, exist_ok=True)
    return absent


def _default_mode(root: Path) -> int:
    """Permissions of a folder made the ordinary way; `tempfile` makes it the owner's alone."""
    probe = root / ".mode"
    probe.mkdir()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.rmdir()
    return mode


def _make_folders(run: Run, root: Path) -> dict[int, Path]:
    """A folder for every cluster that has images."""
    clusters = run.clusters
    names = dict(zip(clusters["cluster"].to_pylist(), clusters["name"].to_pylist(), strict=True))
    used = sorted(np.unique(run.assignments["cluster"].to_numpy()).tolist())
    named = folder_names({cluster: names.get(cluster) or f"cluster-{cluster}" for cluster in used})
    folders = {cluster: root / name for cluster, name in named.items()}
    for folder in folders.values():
        folder.mkdir()
    return folders


def _rows(table: pa.Table, source: ImageSource) -> Iterator[tuple[str, int]]:
    """Path and cluster of each image, in an order that the source reads fast."""
    if isinstance(source, FolderSource):
        for batch in table.select(["path", "cluster"]).to_batches(max_chunksize=ROWS):
            yield from zip(batch["path"].to_pylist(), batch["cluster"].to_pylist(), strict=True)
        return
    # In the source's own order each row group of a Parquet file is decoded once.
    clusters = dict(zip(table["path"].to_pylist(), table["cluster"].to_pylist(), strict=True))
    for ref in source:
        if (cluster := clusters.pop(ref.path, None)) is not None:
            yield ref.path, cluster
    yield from clusters.items()  # gone from the source: reading says why


def _export(source: ImageSource, path: str, folder: Path, link: Link) -> bool:
    """Puts one image into ``folder``.

    Returns:
        Whether it is a link.

    Raises:
        BadImage: it can't be read.
        OSError: it can't be written.
    """
    name = path.rsplit("/", 1)[-1]
    if not isinstance(source, FolderSource):
        data = source.read(path, DecodeLimits().file_bytes)
        _write(folder, _with_extension(name, data), path, data)
        return False
    file = _real_file(source, path)
    if link == "auto" and _link(file, folder, name, path):
        return True
    _copy(file, folder, name, path)
    return False


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


def _link(file: Path, folder: Path, name: str, path: str) -> bool:
    for candidate in alternative_names(name, path):
        try:
            os.link(file, folder / candidate)
        except FileExistsError:
            continue
        except FileNotFoundError as error:
            raise BadImage("gone: it vanished during the export") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False  # another disk, too many links, not allowed: a copy may still do
        return True
    raise _no_name(path)


def _copy(file: Path, folder: Path, name: str, path: str) -> None:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise BadImage(f"unreadable: {(error.strerror or str(error)).lower()}") from error
    with stream:
        target = _create(folder, name, path)
        with target.open("wb") as out:
            while chunk := _read(stream, target):
                out.write(chunk)
        info = os.fstat(stream.fileno())
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _read(stream: io.BufferedReader, target: Path) -> bytes:
    try:
        return stream.read(CHUNK)
    except OSError as error:  # a bad sector costs this image, a full disk the export
        target.unlink()
        raise BadImage(f"unreadable: {(error.strerror or str(error)).lower()}") from error


def _write(folder: Path, name: str, path: str, data: bytes) -> None:
    _create(folder, name, path).write_bytes(data)


def _create(folder: Path, name: str, path: str) -> Path:
    """A new, empty file: never one that is there, whatever the file system takes for the same."""
    for candidate in alternative_names(name, path):
        target = folder / candidate
        try:
            target.open("xb").close()
        except FileExistsError:
            continue
        return target
    raise _no_name(path)


def _no_name(path: str) -> BadImage:
    return BadImage(f"no free name for {path}")


def _with_extension(name: str, data: bytes) -> str:
    """The name with the extension of the format found in the bytes, unless it has it."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            fitting = EXTENSIONS.get(image.format or "", (".bin",))
    except Exception:  # Pillow's plugins raise almost anything on damaged data
        fitting = (".bin",)
    return name if name.lower().endswith(fitting) else name + fitting[0]
