"""The assignments as one file: CSV for a spreadsheet, Parquet for a program."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from headlight.errors import HeadlightError
from headlight.export.places import ExportReport, check_place, writing
from headlight.runs import Run
from headlight.runs.files import atomic, write_table

FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"  # what makes a spreadsheet compute a cell, not show it


def export_csv(run: Run, dest: Path) -> ExportReport:
    """Writes one row an image as CSV, UTF-8, with a header.

    Text is quoted, so commas, quotes and line breaks in file names are safe. A file name that a
    spreadsheet would run as a formula (``=…``, ``+…``, ``-…``, ``@…``) gets an apostrophe in
    front; Parquet has every name as it is.

    Arguments:
        run: fitted.
        dest: the file; must not be there yet.

    Returns:
        What was done.

    Raises:
        HeadlightError: ``dest`` is there, lies in the run or among the images, or can't be
            written.
    """
    _refuse_taken(run, dest)
    table = named_assignments(run)
    for i, column in enumerate(table.schema):
        if pa.types.is_string(column.type):
            table = table.set_column(i, column.name, _harmless(table[i]))
    with writing(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        with atomic(dest) as temporary:
            pyarrow.csv.write_csv(table, temporary)
    return ExportReport(dest, len(table))


def export_parquet(run: Run, dest: Path) -> ExportReport:
    """Writes one row an image as Parquet.

    Arguments, result and errors as for `export_csv`.
    """
    _refuse_taken(run, dest)
    table = named_assignments(run)
    with writing(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        write_table(dest, table)
    return ExportReport(dest, len(table))


def named_assignments(run: Run) -> pa.Table:
    """The assignments with the clusters' names.

    Returns:
        Columns path, cluster, name, and the others of ``run.assignments``.
    """
    table = run.assignments.replace_schema_metadata(None)
    rows = pc.index_in(table["cluster"], run.clusters["cluster"].combine_chunks())
    names = run.clusters["name"].combine_chunks().take(rows)
    return table.add_column(table.schema.get_field_index("cluster") + 1, "name", names)


def _refuse_taken(run: Run, dest: Path) -> None:
    with writing(dest):
        if dest.is_dir():
            raise HeadlightError(f"{dest} is a folder: give the name of a file to make")
        if dest.exists() or dest.is_symlink():
            raise HeadlightError(f"{dest} is there already: give another name, or delete it first")
        check_place(run, dest)


def _harmless(text: pa.ChunkedArray) -> pa.ChunkedArray:
    risky = pc.match_substring_regex(text, FORMULA)
    return pc.if_else(risky, pc.binary_join_element_wise("'", text, ""), text)
