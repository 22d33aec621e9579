"""Writing the files of a run: each appears complete or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headlight.errors import HeadlightError, first_line

FITS = "fits"  # of a run: a folder for each fit
UMASK = os.umask(0)  # at import: later, another thread's file would get the wrong permissions
os.umask(UMASK)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success that file replaces ``path``.

    The data reach the disk before the name does, so a crash leaves the old file or the new one.

    Raises:
        OSError: it can't be written; ``path`` is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: a new file's name gets there with its folder only.

    Raises:
        OSError: it can't be done.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", "utf-8")


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, atomically."""
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_table(path: Path, columns: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Arguments:
        path: the file.
        columns: those it must have, and their types.

    Raises:
        HeadlightError: it is missing or damaged, or holds something else.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
    except FileNotFoundError:
        raise HeadlightError(f"{path} is missing: run the command again that made it") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise HeadlightError(
            f"{path} is damaged ({first_line(error)}): run the command again that made it"
        ) from error
    for name, kind in (columns or {}).items():
        if name not in table.column_names or table.schema.field(name).type != kind:
            raise HeadlightError(f"{path} has no column {name} of type {kind}: it is another file")
    return table


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"  # what makes a spreadsheet compute a cell, not show it


def without_formulas(table: pa.Table) -> pa.Table:
    """The table for CSV: text that a spreadsheet would run as a formula is prefixed with an
    apostrophe."""
    for i, column in enumerate(table.schema):
        if pa.types.is_string(column.type):
            risky = pc.match_substring_regex(table[i], FORMULA)
            quoted = pc.binary_join_element_wise("'", table[i], "")
            table = table.set_column(i, column, pc.if_else(risky, quoted, table[i]))
    return table
