"""Images that show nearly the same thing, group by group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

GROUPS, SHOWN = 24, 6


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """One group of near-duplicates.

    Arguments:
        paths: of at most `SHOWN` of its images.
        size: how many there are.
        apart: whether they lie in more than one cluster.
    """

    paths: list[str]
    size: int
    apart: bool


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """All groups in numbers, the largest in pictures.

    Arguments:
        groups: how many groups there are. images: in all of them.
        shown: the largest.
    """

    groups: int
    images: int
    shown: list[DuplicateGroup]


def near_duplicates(assignments: pa.Table) -> NearDuplicates | None:
    """Groups of near-duplicates in a run; None where they were not sought.

    Arguments:
        assignments: of `headlight.review.review.Review.assignments`.
    """
    if "duplicates" not in assignments.column_names:
        return None
    group = assignments["duplicates"].fill_null(-1).to_numpy()
    sizes = np.bincount(group[group >= 0]) if (group >= 0).any() else np.zeros(0, int)
    largest = np.argsort(-sizes, kind="stable")[:GROUPS]
    cluster = assignments["cluster"].to_numpy()
    shown = []
    for number in largest.tolist():
        rows = np.flatnonzero(group == number)
        paths = assignments["path"].take(pa.array(rows[:SHOWN])).to_pylist()
        shown.append(DuplicateGroup(paths, len(rows), len(set(cluster[rows].tolist())) > 1))
    return NearDuplicates(int((sizes > 0).sum()), int(sizes.sum()), shown)
