"""The rows measured, kept in one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headlight.runs.files import write_table

KEY = ("data", "views", "balance", "method", "seed")
SCHEMA = pa.schema(
    [
        ("data", pa.string()),
        ("views", pa.string()),
        ("balance", pa.string()),
        ("method", pa.string()),
        ("seed", pa.int32()),
        ("split", pa.string()),  # fit: the images it was fitted on; test: images kept aside
        ("acc", pa.float64()),
        ("nmi", pa.float64()),
        ("ari", pa.float64()),
        ("seconds", pa.float64()),  # of the fit
        ("memory_mib", pa.float64()),  # growth of the resident set
        ("n", pa.int64()),
        ("n_clusters", pa.int32()),  # true classes
        ("found", pa.int32()),  # clusters
        ("noise", pa.float64()),  # share of rows in no cluster
        ("error", pa.string()),
        ("machine", pa.string()),
    ]
)

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """All rows so far; none where there is no file."""
    return pq.read_table(path, schema=SCHEMA).to_pylist() if path.exists() else []


def write(path: Path, rows: list[Row]) -> None:
    """Writes all rows, sorted; the file appears whole."""
    ordered = sorted(rows, key=lambda row: (*key(row), row["split"]))
    write_table(path, pa.Table.from_pylist(ordered, schema=SCHEMA))


def key(row: Row) -> tuple[Any, ...]:
    """What tells one fit from another."""
    return tuple(row[name] for name in KEY)
