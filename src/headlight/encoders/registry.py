"""From what the user typed to encoders."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from headlight.encoders.base import Encoder, Encoders
from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.hub import hub_encoder, published_encoder
from headlight.encoders.lite import SIZES, lite_encoder
from headlight.encoders.onnx import onnx_encoder
from headlight.encoders.options import Options, split_options
from headlight.encoders.timm import timm_encoder
from headlight.encoders.user_function import module_encoder
from headlight.errors import HeadlightError

# By short name, or by what precedes the rest of a specification, which the loader is given.
LOADERS: dict[str, Callable[[str, Options], Encoder]] = {
    **dict.fromkeys(SIZES, lite_encoder),
    **dict.fromkeys(CATALOGUE, published_encoder),
    "hf:": hub_encoder,
    "timm:": timm_encoder,
    "onnx:": onnx_encoder,
    "torch:": module_encoder,
}


def load_encoder(spec: str) -> Encoder:
    """The encoder that ``spec`` names.

    Arguments:
        spec: a short name of ``headlight encoders``, or ``hf:owner/name``, ``hf:FOLDER``,
            ``timm:name``, ``onnx:FILE`` or ``torch:module:function``; options may follow, as in
            ``lite0@160`` or ``dinov2-base@mean`` (`Options`).

    Raises:
        HeadlightError: there is none, or it can't be had; the message says what to do.
    """
    try:
        name, options = split_options(spec)
        kind, colon, rest = name.partition(":")
        if loader := LOADERS.get(kind + colon):
            return loader(rest if colon else name, options)
    except HeadlightError as error:
        raise HeadlightError(f"--encoder {spec}: {error}") from error
    names = [key for key in LOADERS if ":" not in key]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.3) or list(SIZES)
    raise HeadlightError(
        f"unknown encoder {spec!r}; nearest: {', '.join(near)} (`headlight encoders` lists all)"
    )


def load_encoders(spec: str) -> Encoders:
    """The encoders that ``spec`` names, such as ``lite0`` or ``dinov2-small+clip-vit-b32``.

    Arguments:
        spec: one specification for `load_encoder`, or several with ``+`` between them.

    Raises:
        HeadlightError: one of them can't be had, or is named twice.
    """
    parts = tuple(load_encoder(one.strip()) for one in part_names(spec))
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise HeadlightError(f"--encoder {spec}: {name} is named twice")
    return Encoders(parts)


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
