"""A fitted head on disk, in safetensors: no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headlight.errors import HeadlightError, first_line
from headlight.runs.files import atomic

if TYPE_CHECKING:
    from headlight.clustering import SCP

OTHERS = "with."  # what names of arrays that are no part of the estimator begin with

Arrays = dict[str, np.ndarray]


def save_model(path: Path, scp: SCP, rows: bytes = b"") -> str:
    """Write everything needed to predict, atomically.

    Arguments:
        path: the file.
        scp: fitted.
        rows: distinguishes fits with equal models but different images.

    Returns:
        The fit's id: a hash of what was written, so that equal fits have the same id.
    """
    tensors, metadata = scp.state()
    fit = _digest(tensors, json.dumps(metadata, sort_keys=True).encode() + rows)[:16]
    _write(path, tensors, {"fit": fit, "state": metadata})
    return fit


def load_model(path: Path) -> SCP:
    """The fitted `SCP` saved at ``path``.

    Raises:
        HeadlightError: the file is missing, damaged, or no model.
    """
    from headlight.clustering import SCP

    try:
        tensors, header = _read(path)
        return SCP.from_state(tensors, header["state"])
    except Exception as error:  # whatever a file that was tampered with makes of the parts
        raise HeadlightError(
            f"{path} is missing or damaged ({first_line(error)}): fit the run again"
        ) from error


def write_model(path: Path, scp: SCP, about: Mapping[str, Any], others: Arrays) -> None:
    """Write a head with more to it, atomically, and its checksum: no other file knows it.

    Arguments:
        path: the file.
        scp: fitted.
        about: what JSON can hold.
        others: arrays.

    Raises:
        HeadlightError: it can't be written.
    """
    from safetensors import SafetensorError

    tensors, metadata = scp.state()
    tensors |= {OTHERS + name: array for name, array in others.items()}
    header = {"about": dict(about), "state": metadata}
    whole = _digest(tensors, json.dumps(header, sort_keys=True).encode())
    try:
        _write(path, tensors, header | {"checksum": whole})
    except (OSError, SafetensorError) as error:
        raise HeadlightError(f"{path} can't be written: {first_line(error)}") from error


def read_model(path: Path) -> tuple[SCP, dict[str, Any], Arrays]:
    """What `write_model` wrote.

    Raises:
        HeadlightError: the file is missing, or not as it was written.
    """
    from headlight.clustering import SCP

    try:
        tensors, header = _read(path)
        checksum = header.pop("checksum")
        if checksum != _digest(tensors, json.dumps(header, sort_keys=True).encode()):
            raise ValueError("its checksum is another")
        others = {n.removeprefix(OTHERS): t for n, t in tensors.items() if n.startswith(OTHERS)}
        own = {name: t for name, t in tensors.items() if not name.startswith(OTHERS)}
        return SCP.from_state(own, header["state"]), header["about"], others
    except Exception as error:  # as in `load_model`
        raise HeadlightError(f"{path} is missing or damaged ({first_line(error)})") from error


def _digest(tensors: Arrays, more: bytes) -> str:
    digest = hashlib.sha256(more)
    for name, value in sorted(tensors.items()):
        digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _write(path: Path, tensors: Arrays, header: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}
    # One key only: safetensors writes several in random order, and equal fits are equal files.
    text = json.dumps(header, sort_keys=True)
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"headlight": text})


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        header = json.loads((file.metadata() or {})["headlight"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return tensors, header
