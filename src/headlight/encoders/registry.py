"""Encoders by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from headlight.encoders.base import Encoder
from headlight.encoders.lite0 import lite0
from headlight.errors import HeadlightError

ENCODERS: dict[str, Callable[[], Encoder]] = {"lite0": lite0}


def load_encoder(name: str) -> Encoder:
    """The encoder called ``name``.

    Raises:
        HeadlightError: there is none; the message gives the nearest names.
    """
    if name in ENCODERS:
        return ENCODERS[name]()
    near = difflib.get_close_matches(name, ENCODERS, n=3, cutoff=0.3) or sorted(ENCODERS)
    raise HeadlightError(
        f"unknown encoder {name!r}; nearest: {', '.join(near)} (`headlight encoders` lists all)"
    )
