"""Encoders tuned on a user's own clusters: what `headlight.adaptation` writes, loaded again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from headlight.encoders.base import Encoder
from headlight.encoders.options import Options
from headlight.errors import HeadlightError

if TYPE_CHECKING:
    import torch

FORMAT = 1
ABOUT, WEIGHTS = "adapted.json", "weights.safetensors"


def adapted_encoder(rest: str, options: Options) -> Encoder:
    """The encoder in a folder that `save_adapted` wrote.

    Arguments:
        rest: the folder.
        options: none; those of the encoder it was made from stay.

    Raises:
        HeadlightError: no such folder, or it is damaged, or the encoder it was made from is not to
            be had or has other weights now.
    """
    asked = f"adapted:{rest}"
    options.allow(asked)
    folder = Path(rest).expanduser().resolve()
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        base_name, base_hash, version = about["base"], about["base_weights"], about["format"]
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadlightError(
            f"--encoder {asked}: no adapted encoder there ({error}); "
            "`headlight cluster SOURCE --adapt` makes one"
        ) from error
    if version != FORMAT:
        raise HeadlightError(f"--encoder {asked}: of format {version}; update headlight")
    from headlight.encoders.registry import load_encoder

    base = load_encoder(base_name)
    if base.weights_hash != base_hash:
        raise HeadlightError(
            f"--encoder {asked}: made from {base_name} with other weights than those here now"
        )
    return replace(
        base,
        name=f"adapted:{folder}",
        weights_hash=digest,
        build=lambda: _build(base, folder / WEIGHTS),
        description=f"{base_name}, adapted to {about['source']}",
    )


def save_adapted(folder: Path, base: Encoder, network: torch.nn.Module, source: str) -> None:
    """Writes the network so that ``adapted:FOLDER`` loads it.

    Arguments:
        folder: exists, and is empty.
        base: what the network was before.
        network: as ``base.build()`` makes it, with other weights.
        source: what it was adapted to.
    """
    from safetensors.torch import save_file

    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    about = {
        "format": FORMAT,
        "base": base.name,
        "base_weights": base.weights_hash,
        "source": source,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def _build(base: Encoder, weights: Path) -> torch.nn.Module:
    from safetensors.torch import load_file

    network = base.build()
    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, OSError, ValueError) as error:
        raise HeadlightError(f"{weights} does not fit {base.name}: {error}") from error
    return network.eval()
