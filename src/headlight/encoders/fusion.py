"""Several encoders as one: their features stand side by side in one vector."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from headlight.encoders.base import Encoder
from headlight.encoders.registry import load_encoder
from headlight.errors import HeadlightError


@dataclass(frozen=True)
class Fusion:
    """One encoder or several.

    Arguments:
        parts: in the order of their features, each once.
    """

    parts: tuple[Encoder, ...]

    @property
    def name(self) -> str:
        """The names, joined by ``+``."""
        return "+".join(part.name for part in self.parts)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of the vector of each."""
        return tuple(part.dim for part in self.parts)

    @property
    def dim(self) -> int:
        """Length of the whole vector."""
        return sum(self.dims)

    @property
    def weights_hash(self) -> str:
        """Of one encoder its own; of several a hash of theirs."""
        hashes = [part.weights_hash for part in self.parts]
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )

    @property
    def min_side(self) -> int:
        """See `Encoder.min_side`."""
        return max(part.min_side for part in self.parts)


def load_fusion(spec: str) -> Fusion:
    """The encoders that ``spec`` names, such as ``lite0`` or ``dinov2-small+clip-vit-b32``.

    Arguments:
        spec: one specification for `load_encoder`, or several with ``+`` between them.

    Raises:
        HeadlightError: one of them can't be had, or is named twice.
    """
    specs = [one.strip() for one in part_names(spec)]
    parts = tuple(load_encoder(one) for one in specs)
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise HeadlightError(f"--encoder {spec}: {name} is named twice")
    return Fusion(parts)


def part_names(spec: str) -> list[str]:
    """The encoders in a specification, which is split at every ``+`` that is no part of the name
    of a file or folder that exists."""
    words, found = spec.split("+"), []
    while words:
        taken = next((n for n in range(len(words), 1, -1) if _is_file("+".join(words[:n]))), 1)
        found.append("+".join(words[:taken]))
        words = words[taken:]
    return found


def _is_file(one: str) -> bool:
    kind, colon, path = one.partition(":")
    return bool(colon) and "+" not in kind and Path(path).exists()
