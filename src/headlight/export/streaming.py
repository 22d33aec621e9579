"""Long JSON files written piece by piece, so that memory doesn't grow with the images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO


def write_object(stream: TextIO, members: Mapping[str, Any]) -> None:
    """Write one JSON object, one member per line.

    Arguments:
        stream: open for writing text.
        members: key → value; of an iterator each item is written on a line of its own, as an
            array, and as an object if it yields pairs of a string and a value.
    """
    stream.write("{")
    for i, (key, value) in enumerate(members.items()):
        stream.write(f"{',' if i else ''}\n{dumped(key)}: ")
        if isinstance(value, JsonPairs):
            _write_lines(stream, (f"{dumped(k)}: {dumped(v)}" for k, v in value.items), "{}")
        elif hasattr(value, "__next__"):
            _write_lines(stream, map(dumped, value), "[]")
        else:
            stream.write(dumped(value))
    stream.write("\n}\n")


def write_array(stream: TextIO, items: Iterable[Any]) -> None:
    """Write one JSON array, one item per line."""
    _write_lines(stream, map(dumped, items), "[]")
    stream.write("\n")


class JsonPairs:
    """Keys and values of an object too long for a dict.

    Arguments:
        items: pairs; no key twice.
    """

    def __init__(self, items: Iterable[tuple[str, Any]]) -> None:
        self.items = items


def dumped(value: Any) -> str:
    """JSON on one line; only ASCII, so that no program mistakes the encoding."""
    return json.dumps(value, allow_nan=False)


def open_text(path: Path) -> TextIO:
    """A new text file: UTF-8, line ends as written."""
    return path.open("x", encoding="utf-8", newline="\n")


def rounded(confidence: float) -> float:
    """Enough digits for a float32 and no noise behind them."""
    return round(confidence, 6)


def _write_lines(stream: TextIO, lines: Iterable[str], brackets: str) -> None:
    stream.write(brackets[0])
    for i, line in enumerate(lines):
        stream.write(f"{',' if i else ''}\n{line}")
    stream.write(f"\n{brackets[1]}")
