"""The fitted head on disk, in safetensors: no pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headlight.errors import HeadlightError, first_line
from headlight.runs.files import atomic

if TYPE_CHECKING:
    from headlight.clustering import SCP


def save_model(path: Path, scp: SCP, rows: bytes = b"") -> str:
    """Write everything needed to predict, atomically.

    Arguments:
        path: the file.
        scp: fitted.
        rows: distinguishes fits with equal models but different images.

    Returns:
        The fit's id: a hash of what was written, so that equal fits have the same id.
    """
    from safetensors.numpy import save_file

    tensors, metadata = scp.state()
    tensors = {name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}
    text = json.dumps(metadata, sort_keys=True)
    digest = hashlib.sha256(text.encode() + rows)
    for name, value in tensors.items():
        digest.update(name.encode() + value.tobytes())
    fit = digest.hexdigest()[:16]
    # One key only: safetensors writes several in random order, and equal fits are equal files.
    header = json.dumps({"fit": fit, "state": metadata}, sort_keys=True)
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"headlight": header})
    return fit


def load_model(path: Path) -> SCP:
    """The fitted `SCP` saved at ``path``.

    Raises:
        HeadlightError: the file is missing, damaged, or no model.
    """
    from safetensors import safe_open

    from headlight.clustering import SCP

    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["headlight"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return SCP.from_state(tensors, header["state"])
    except Exception as error:  # whatever a file that was tampered with makes of the parts
        raise HeadlightError(
            f"{path} is missing or damaged ({first_line(error)}): fit the run again"
        ) from error
