"""The files that hold an ONNX model's weights beside the model's own."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from headlight.errors import HeadlightError

# Where onnx.proto can hold tensors: by message, its fields that are messages too.
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
_KEY, _VALUE = 1, 2
_FIXED = {1: 8, 5: 4}  # bytes of a field, by its wire type
# OpenVINO drops what precedes a colon, and takes a name with asterisks for an address in memory.
_REFUSED = frozenset(":\\*\0")


def external_files(file: Path) -> list[Path]:
    """The files in which an ONNX model keeps weights, in the order of their names.

    Raises:
        HeadlightError: one is missing or not in the model's folder, or the model is damaged.
    """
    if not file.stat().st_size:
        return []
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            names = {name.decode() for name in _locations(data)}
        except (IndexError, UnicodeDecodeError):
            raise HeadlightError(f"{file} is damaged or no ONNX model: export it again") from None
    return [_inside(file, name) for name in sorted(names)]


def _inside(file: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    # OpenVINO also drops dots at the beginning, so it would open another file than the one checked.
    plain = bool(parts) and parts[0][0] not in "/." and ".." not in parts
    path = file.parent / name
    if not plain or _REFUSED & set(name) or not path.resolve().is_relative_to(file.parent):
        raise HeadlightError(
            f"{file}: its weights must lie in its own folder, and {name!r} leads elsewhere: "
            "export it again, with its weights beside it"
        )
    if not path.is_file():
        raise HeadlightError(f"{path} is missing, and {file.name} keeps weights in it: get it too")
    return path


def _locations(data: mmap.mmap) -> Iterator[bytes]:
    """Names of files as the model has them."""
    parts = [("model", 0, len(data))]  # a list, not recursion: nesting has no limit
    while parts:
        message, start, end = parts.pop()
        entry = {}
        for number, begin, stop in _chunks(data, start, end):
            if message == "entry" and number in (_KEY, _VALUE):
                entry[number] = (begin, stop)
            elif number in _FIELDS[message]:
                parts.append((_FIELDS[message][number], begin, stop))
        if _KEY in entry and data[slice(*entry[_KEY])] == b"location":
            yield data[slice(*entry.get(_VALUE, (0, 0)))]


def _chunks(data: mmap.mmap, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of the fields with a length, in a message of protocol buffers."""
    while place < end:
        tag, place = _varint(data, place)
        number, wire = (tag & 0xFFFFFFFF) >> 3, tag & 7  # readers keep 32 bits of it
        if wire == 0:
            _, place = _varint(data, place)
        elif wire == 2:
            length, begin = _varint(data, place)
            place = begin + length
            if place <= end:
                yield number, begin, place
        elif wire in _FIXED:
            place += _FIXED[wire]
        else:
            raise IndexError("no such type of field")
    if place > end:
        raise IndexError("longer than what holds it")


def _varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    """A number of up to ten bytes, and the place after it."""
    value = 0
    for i in range(10):
        byte = data[place + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, place + i + 1
    raise IndexError("longer than a number can be")
