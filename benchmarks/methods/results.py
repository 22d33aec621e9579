"""The rows measured, kept in one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headlight.runs.files import write_table

KEY = ("data", "balance", "views", "method", "seed")
# What every fit is judged by: of the methods, and of the alternatives of a decision.
SCORES = [
    ("acc", pa.float64()),
    ("nmi", pa.float64()),
    ("ari", pa.float64()),
    ("ece", pa.float64()),  # expected calibration error
    ("n", pa.int64()),
    ("n_clusters", pa.int32()),  # true classes
    ("found", pa.int32()),  # clusters
    ("noise", pa.float64()),  # share of rows in no cluster
    ("seconds", pa.float64()),  # of the fit
    ("error", pa.string()),
    ("machine", pa.string()),
]
SCHEMA = pa.schema(
    [
        ("data", pa.string()),
        ("balance", pa.string()),
        ("views", pa.string()),
        ("method", pa.string()),
        ("seed", pa.int32()),
        ("split", pa.string()),  # fit: the images it was fitted on; test: images kept aside
        *SCORES,
        ("process", pa.string()),  # times of one process are from the same minutes
        ("memory_mib", pa.float64()),  # growth of the resident set
        ("input_mib", pa.float64()),  # the features it was given
        ("estimate", pa.int32()),  # number of clusters, where it was not given
        ("low", pa.int32()),
        ("high", pa.int32()),
        ("levels", pa.list_(pa.int32())),
    ]
)

Row = dict[str, Any]


def read(path: Path, schema: pa.Schema = SCHEMA) -> list[Row]:
    """All rows so far; none where there is no file."""
    return pq.read_table(path, schema=schema).to_pylist() if path.exists() else []


def write(path: Path, rows: list[Row], schema: pa.Schema = SCHEMA) -> None:
    """Writes all rows; the file appears whole."""
    write_table(path, pa.Table.from_pylist(rows, schema=schema))


def key(row: Row) -> tuple[Any, ...]:
    """What tells one fit from another."""
    return tuple(row[name] for name in KEY)
