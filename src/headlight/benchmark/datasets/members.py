"""Files of a published archive, read by name: from the archive itself, or unpacked from it."""

from __future__ import annotations

import stat
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headlight.errors import HeadlightError

# The largest archive, STL-10's, has 3.2 GB in it. What claims to hold more is none of ours.
MOST_UNPACKED = 4 * 2**30


class RecordLayout(NamedTuple):
    """The layout of a file: records of equal size.

    Arguments:
        size: bytes of one record.
        most: records in the file as published; it may hold fewer.
    """

    size: int
    most: int


@dataclass(frozen=True)
class Member:
    """One file, read.

    Arguments:
        name: without folders.
        records: (n, bytes of one record) uint8.
        mtime_ns: time of its last change as the archive gives it; unpacking keeps it.
        where: for messages.
    """

    name: str
    records: np.ndarray
    mtime_ns: int
    where: str


def read_members(
    data: Path, archive: str, folder: str, files: Mapping[str, RecordLayout]
) -> dict[str, Member] | None:
    """Files of an archive; nothing is unpacked to disk.

    Looked for, in this order: ``data/folder/FILE``, ``data/FILE``, ``data/archive``; ``data`` may
    be the archive too. Members of an archive are taken by their exact names, ``folder/FILE``, and
    only if they are plain files: whatever else is in there is passed over. Their sizes are
    checked before they are read.

    Arguments:
        data: what the user gave.
        archive: its name as published.
        folder: in which it holds the files.
        files: name → how it is made up.

    Returns:
        Name → file; None if there is neither the archive nor any of the files.

    Raises:
        HeadlightError: a file is missing, cut short, or not of this format.
    """
    places = [place for place in (data / folder, data) if any((place / f).exists() for f in files)]
    for place in places:
        if all((place / name).exists() for name in files):
            return {name: _unpacked(place / name, records) for name, records in files.items()}
    packed = data if data.name == archive else data / archive
    if packed.is_file():
        return _packed(packed, folder, files)
    if places:
        missing = next(name for name in files if not (places[0] / name).exists())
        raise HeadlightError(f"{places[0]} lacks the file {missing}: unpack {archive} again")
    return None


def _unpacked(file: Path, records: RecordLayout) -> Member:
    info = file.stat()
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for ever
        raise HeadlightError(f"{file} is not a regular file")
    _require_size(str(file), info.st_size, records)
    with file.open("rb") as stream:
        return _member(file.name, stream.read(info.st_size), info.st_mtime_ns, str(file), records)


def _packed(archive: Path, folder: str, files: Mapping[str, RecordLayout]) -> dict[str, Member]:
    wanted = {f"{folder}/{name}": name for name in files}
    found: dict[str, Member] = {}
    total = 0
    try:
        # As a stream: no member's header is looked for after the last one wanted.
        with tarfile.open(archive, "r|*") as tar:
            for info in tar:
                total += info.size
                if total > MOST_UNPACKED:
                    raise HeadlightError(
                        f"{archive} holds more than {MOST_UNPACKED / 2**30:.0f} GiB: "
                        "it is not the published archive"
                    )
                name = wanted.get(info.name.removeprefix("./"))
                if name is None or name in found or not info.isreg():
                    continue
                where = f"{archive}: {info.name}"
                _require_size(where, info.size, files[name])
                stream = tar.extractfile(info)
                content = stream.read(info.size) if stream else b""
                mtime_ns = round(float(info.mtime) * 1e9)
                found[name] = _member(name, content, mtime_ns, where, files[name])
                if len(found) == len(files):
                    break
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk's fault, not the archive's
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        raise HeadlightError(
            f"{archive} is damaged or cut short ({text}): download it again"
        ) from error
    for member, name in wanted.items():
        if name not in found:
            raise HeadlightError(f"{archive} lacks the file {member}: download it again")
    return found


def _require_size(where: str, size: int, records: RecordLayout) -> None:
    if size == 0 or size % records.size:
        raise HeadlightError(
            f"{where} has {size:,} bytes, not a whole number of records of {records.size:,}: "
            "it is cut short, or of another format"
        )
    if size > records.size * records.most:
        raise HeadlightError(
            f"{where} has {size:,} bytes, more than the published {records.size * records.most:,}: "
            "it is another file"
        )


def _member(name: str, content: bytes, mtime_ns: int, where: str, records: RecordLayout) -> Member:
    _require_size(where, len(content), records)
    values = np.frombuffer(content, np.uint8).reshape(-1, records.size)
    return Member(name, values, mtime_ns, where)
