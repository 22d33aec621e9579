"""Writing the files of a run: each appears complete or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headlight.errors import HeadlightError, first_line

FITS = "fits"  # of a run: a folder for each fit
FIT_KEY = b"headlight.fit"
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


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically."""
    with atomic(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", "utf-8")


def write_table(path: Path, table: pa.Table, fit: str | None = None) -> None:
    """Writes a Parquet file, atomically; ``fit`` marks which fit it belongs to."""
    if fit is not None:
        table = table.replace_schema_metadata({FIT_KEY: fit.encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def refit(path: Path) -> str:
    """The command that writes ``path``, a file of a fit, again."""
    inside = path.parent.parent.name == FITS
    return f"headlight fit {path.parents[2] if inside else path.parent}"


def read_table(path: Path, fit: str | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Raises:
        HeadlightError: it is missing, damaged, or belongs to another fit than ``fit``.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise HeadlightError(f"{path} is missing: run `{refit(path)}` again") from None
    except (OSError, pa.ArrowException) as error:
        why = first_line(error)
        raise HeadlightError(f"{path} is damaged ({why}): run `{refit(path)}` again") from error
    if fit is not None and (table.schema.metadata or {}).get(FIT_KEY) != fit.encode():
        raise HeadlightError(
            f"{path} is from another fit than run.json: saving was interrupted; "
            f"run `{refit(path)}` again"
        )
    return table


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
