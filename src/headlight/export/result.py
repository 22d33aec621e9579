"""The contents of an export: the edited clusters, one row per image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headlight.images.folder import FolderSource
from headlight.images.source import natural_key
from headlight.runs import Run

if TYPE_CHECKING:
    from headlight.images import ImageSource

ROWS = 4096
OUTLIERS = "outliers"
"""What images that a person marked as outliers are filed under."""
COLUMNS = ("path", "cluster", "confidence", "outlier")


@dataclass(frozen=True, slots=True)
class Row:
    """One image.

    Arguments:
        path: its name in the source.
        cluster: its number.
        confidence: of the head in the cluster it chose, 0 to 1; 1 if a person moved the image.
        outlier: a person marked it as belonging to no cluster.
    """

    path: str
    cluster: int
    confidence: float
    outlier: bool


class Result:
    """The result of a run with all edits applied.

    Arguments:
        run: fitted.

    Raises:
        HeadlightError: it is not fitted, or one of its files is damaged.
    """

    def __init__(self, run: Run) -> None:
        from headlight.review.review import review

        self.run = run
        self.review = review(run)

    @cached_property
    def table(self) -> pa.Table:
        """One row per image: the columns of ``run.assignments``, edited, and ``outlier`` (bool)."""
        table = self.review.assignments().replace_schema_metadata(None)
        return table.select([name for name in table.column_names if name != "image"])

    @cached_property
    def names(self) -> dict[int, str]:
        """Cluster → name, of every cluster with images; names are unique."""
        given = self.review.names
        used = np.unique(self.table["cluster"].to_numpy()).tolist()
        return unique_names({k: given.get(k) or f"cluster-{k}" for k in used})

    @cached_property
    def nonempty(self) -> list[int]:
        """The clusters, ascending, with an image not marked as outlier."""
        cluster, outlier = (self.table[name].to_numpy() for name in ("cluster", "outlier"))
        return np.unique(cluster[~outlier]).tolist()

    def rows(self, source: ImageSource | None = None) -> Iterator[Row]:
        """Every image.

        Arguments:
            source: the order it is read fast in is used; None: the order of the table.
        """
        sure = np.where(self.review.by_hand, np.float32(1), self.table["confidence"].to_numpy())
        place = self.table.schema.get_field_index("confidence")
        table = self.table.set_column(place, "confidence", pa.array(sure)).select(COLUMNS)
        if source is None or isinstance(source, FolderSource):
            for batch in table.to_batches(max_chunksize=ROWS):
                columns = (batch[name].to_pylist() for name in COLUMNS)
                yield from (Row(*values) for values in zip(*columns, strict=True))
            return
        # In the source's own order each row group of a Parquet file is decoded once.
        paths = table["path"].to_pylist()
        others = [table[name].to_numpy() for name in COLUMNS[1:]]
        for i in sorted(range(len(paths)), key=lambda i: natural_key(paths[i])):
            yield Row(paths[i], *(values[i].item() for values in others))


def unique_names(names: dict[int, str]) -> dict[int, str]:
    """The names with a number behind those that came before: ``cat``, ``cat (2)``.

    Arguments:
        names: cluster → name; names may repeat.
    """
    # A name given as it is comes first, so that "cat (2)" a person chose stays theirs.
    taken = set(names.values())
    seen: set[str] = set()
    result = {}
    for cluster, name in names.items():
        unique, number = name, 1
        while unique in seen or (number > 1 and unique in taken):
            number += 1
            unique = f"{name} ({number})"
        seen.add(unique)
        result[cluster] = unique
    return result
