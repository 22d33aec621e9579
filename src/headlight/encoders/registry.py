"""From what the user typed to an encoder."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from headlight.encoders.base import Encoder
from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.lite import SIZES, lite
from headlight.encoders.options import Options, split_options
from headlight.errors import HeadlightError

Family = Callable[[str, Options], Encoder]


def load_encoder(spec: str) -> Encoder:
    """The encoder that ``spec`` names.

    Arguments:
        spec: a short name of ``headlight encoders``, or ``hf:owner/name``, ``hf:FOLDER``,
            ``timm:name``, ``onnx:FILE`` or ``torch:module:function``; options may follow, as in
            ``lite0@160`` or ``dinov2-base@mean`` (`Options`).

    Raises:
        HeadlightError: there is none, or it can't be had; the message says what to do.
    """
    name, options = split_options(spec)
    kind, colon, rest = name.partition(":")
    if colon and kind in FAMILIES:
        return FAMILIES[kind](rest, options)
    if name in SIZES:
        options.allow(spec, "size")
        return lite(name, options.size)
    if name in CATALOGUE:
        from headlight.encoders.hub import hub_encoder

        return hub_encoder(CATALOGUE[name].repository, options, name=name)
    known = [*SIZES, *CATALOGUE]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or list(SIZES)
    raise HeadlightError(
        f"unknown encoder {spec!r}; nearest: {', '.join(near)} (`headlight encoders` lists all)"
    )


def _hub(rest: str, options: Options) -> Encoder:
    from headlight.encoders.hub import hub_encoder

    return hub_encoder(rest, options)


def _timm(rest: str, options: Options) -> Encoder:
    from headlight.encoders.timm import timm_encoder

    return timm_encoder(rest, options)


def _onnx(rest: str, options: Options) -> Encoder:
    from headlight.encoders.onnx import onnx_encoder

    return onnx_encoder(rest, options)


def _torch(rest: str, options: Options) -> Encoder:
    from headlight.encoders.user_function import module_encoder

    return module_encoder(rest, options)


FAMILIES: dict[str, Family] = {
    "hf": _hub,
    "timm": _timm,
    "onnx": _onnx,
    "torch": _torch,
}
