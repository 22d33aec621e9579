"""Edits as lines of the log: images are named by their keys, so that an edit outlives its fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headlight.review.images import Images, packed
from headlight.review.log import Edit

Line = dict[str, Any]


def to_line(edit: Edit, images: Images) -> Line:
    """What is written of an edit.

    Copies of one file are one image: where they are sent to several clusters, the first counts.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the edit makes no sense.
    """
    line = dict(edit)
    if "rows" in line:
        line["images"] = images.pack(line.pop("rows"))
    if "to" in line:
        to = line.pop("to")
        rows = np.concatenate([np.empty(0, np.int64), *to.values()])
        if len(np.unique(rows)) < len(rows):
            raise ValueError("an image can't go to two clusters")
        taken: set[bytes] = set()
        line["images"] = {}
        for cluster, part in to.items():
            keys = images.keys_of(part) - taken
            taken |= keys
            line["images"][str(int(cluster))] = packed(keys)
    if "new" in line:
        line["new"] = {str(int(cluster)): name for cluster, name in line["new"].items()}
    return line


def from_line(line: Line, images: Images) -> Edit:
    """The edit that a line tells of; images that are not in this fit are left out.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the line makes no sense.
    """
    edit = dict(line)
    if isinstance(edit.get("images"), dict):
        texts = edit.pop("images")
        edit["to"] = {int(cluster): images.unpack(text) for cluster, text in texts.items()}
    elif "images" in edit:
        edit["rows"] = images.unpack(edit.pop("images"))
    if "new" in edit:
        edit["new"] = {int(cluster): name for cluster, name in edit["new"].items()}
    return edit


def names_rows(line: Line) -> bool:
    """Whether a line is of the first format, with rows of its fit in place of images."""
    return isinstance(line.get("to"), dict) or isinstance(line.get("rows"), str)


def taken_over(line: Line, keys: Callable[[], np.ndarray]) -> Line:
    """A line that names rows as one that names images.

    Arguments:
        line: `names_rows` is true of it.
        keys: gives the keys of the rows of its fit, uint8 (n, 16).

    Raises:
        ValueError: it names a row that the fit doesn't have.
    """
    line, known = dict(line), keys()
    if isinstance(line.get("rows"), str):
        line["images"] = _taken_over(line.pop("rows"), known)
    else:
        parts = line.pop("to").items()
        line["images"] = {cluster: _taken_over(text, known) for cluster, text in parts}
    return line


def _taken_over(text: str, keys: np.ndarray) -> str:
    return packed({key.tobytes() for key in keys[unpack_rows(text, len(keys))]})


def unpack_rows(text: str, n: int) -> np.ndarray:
    """Rows written as sorted ranges, such as ``2-4,7``: int64 (m,), sorted.

    Arguments:
        text: the ranges.
        n: number of rows of the fit.

    Raises:
        ValueError: it is not a list of ranges, or names a row that doesn't exist.
    """
    if not text:
        return np.empty(0, np.int64)
    ends = [part.split("-") for part in text.split(",")]
    if not all(0 < len(pair) <= 2 and all(e.isdecimal() for e in pair) for pair in ends):
        raise ValueError("rows that can't be read")
    first = np.array([int(pair[0]) for pair in ends])
    last = np.array([int(pair[-1]) for pair in ends])
    if (first > last).any() or (first[1:] <= last[:-1]).any() or last[-1] >= n:
        raise ValueError(f"rows out of order or not below {n}")
    sizes = last - first + 1
    return np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
