"""The assignments as one file: CSV for a spreadsheet, Parquet for a program."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from headlight.export.destination import ExportReport, new_file
from headlight.export.result import Result
from headlight.runs import Run
from headlight.runs.files import without_formulas


def export_csv(run: Run, dest: Path) -> ExportReport:
    """Write one row per image as CSV, UTF-8, with a header.

    Text is quoted, so commas, quotes and line breaks in file names are safe. A file name that a
    spreadsheet would run as a formula (``=…``, ``+…``, ``-…``, ``@…``) is prefixed with an
    apostrophe; Parquet keeps every name unchanged.

    Arguments:
        run: fitted.
        dest: the file; must not exist.

    Returns:
        What was done.

    Raises:
        HeadlightError: ``dest`` exists, lies in the run or among the images, or can't be written.
    """
    with new_file(run, dest) as temporary:
        table = named_assignments(run)
        pyarrow.csv.write_csv(without_formulas(table), temporary)
    return ExportReport(dest, len(table))


def export_parquet(run: Run, dest: Path) -> ExportReport:
    """Write one row per image as Parquet.

    Arguments, result and errors as for `export_csv`.
    """
    with new_file(run, dest) as temporary:
        table = named_assignments(run)
        pq.write_table(table, temporary, compression="zstd")
    return ExportReport(dest, len(table))


def named_assignments(run: Run) -> pa.Table:
    """The edited assignments with the clusters' names.

    Returns:
        Columns path, cluster, name, the others of ``run.assignments`` with second_name behind
        second (null where that cluster was merged away), and outlier (bool): marked so by a person.
    """
    result = Result(run)
    table = result.table
    names = result.review.names | result.names
    numbers, texts = pa.array(names, table["cluster"].type), pa.array(names.values(), pa.string())
    for column, named in (("cluster", "name"), ("second", "second_name")):
        place = table.schema.get_field_index(column) + 1
        of_rows = texts.take(pc.index_in(table[column], numbers))
        table = table.add_column(place, named, of_rows)
    return table
