"""An encoder as an ONNX graph, put in front of a head's."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headlight.encoders import load_fusion
from headlight.errors import HeadlightError
from headlight.export.onnx_head import IR_VERSION, OPSET
from headlight.runs import Run
from headlight.runs.embedding import IMPORTED

if TYPE_CHECKING:
    import onnx
    import torch

    from headlight.encoders.base import Encoder

MOST_BYTES = 1_900_000_000  # of weights: a file in protocol buffers ends at 2 GiB
NEWER_OPSET = 18  # the least that PyTorch's newer exporter writes


class Unexportable(Exception):  # noqa: N818 - no failure of the export: the head alone is made
    """The encoder can't be put in front; the message is the reason, for the model card."""


def encoder_of(run: Run) -> Encoder:
    """The one encoder that the run's features are of.

    Raises:
        Unexportable: features made elsewhere, several encoders, none to be had, or other weights.
    """
    wanted = run.info["encoder"]
    if wanted["encoder"].startswith(IMPORTED):
        raise Unexportable("the features were made elsewhere")
    try:
        fusion = load_fusion(wanted["encoder"])
    except HeadlightError as error:
        raise Unexportable(f"the encoder can't be had here: {error}") from error
    if len(fusion.parts) > 1:
        raise Unexportable("the features are of several encoders, whose images differ in size")
    if fusion.weights_hash != wanted["weights"]:
        raise Unexportable("the encoder's weights here are not those the run was made with")
    if fusion.parts[0].convert is not None:
        raise Unexportable("the encoder is an ONNX file already, which headlight does not change")
    return fusion.parts[0]


def network_of(encoder: Encoder) -> torch.nn.Module:
    """The encoder's network, in evaluation mode and float32.

    Raises:
        Unexportable: it can't be had as a PyTorch module.
    """
    try:
        return encoder.build()
    except HeadlightError as error:
        raise Unexportable(f"the encoder can't be had here: {error}") from error


def encoder_model(network: torch.nn.Module, size: int) -> tuple[onnx.ModelProto, int]:
    """A network from pixels to features as a graph.

    Arguments:
        network: see `Encoder.build`.
        size: side of its images, pixels.

    Returns:
        A model, input ``pixels``, uint8 (n, size, size, 3), output ``features``, float32
        (n, dim); and the version of its operators.

    Raises:
        Unexportable: PyTorch can't, or the weights are larger than a file of ONNX may be.
    """
    import onnx
    import torch

    size_in_bytes = sum(4 * weight.numel() for weight in network.parameters())
    if size_in_bytes > MOST_BYTES:
        raise Unexportable(
            f"the encoder's weights, {size_in_bytes / 1e9:.1f} GB, are more than an ONNX file holds"
        )
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (2, size, size, 3), np.uint8))
    first: Exception | None = None
    with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
        for kind in ("older", "newer"):
            file = Path(folder) / f"{kind}.onnx"
            try:
                with _quiet():
                    torch.onnx.export(network, (pixels,), file, **_options(kind))
                model = onnx.load(file)
            except Exception as error:  # of many kinds; what matters is that it could not
                first = first or error
                continue
            model.ir_version = IR_VERSION
            return model, model.opset_import[0].version
    text = " ".join(str(first).split())[:160]
    raise Unexportable(f"PyTorch can't write the encoder as ONNX: {text}") from first


def join(encoder: onnx.ModelProto, head: onnx.ModelProto) -> onnx.ModelProto:
    """One graph of two: the encoder's features are the head's input."""
    from onnx import compose

    named = compose.add_prefix(encoder, "encoder/", rename_inputs=False, rename_outputs=False)
    joined = compose.merge_models(named, head, io_map=[("features", "features")])
    joined.producer_name = "headlight"
    return joined


def _options(kind: str) -> dict[str, Any]:
    names: dict[str, Any] = {"input_names": ["pixels"], "output_names": ["features"]}
    if kind == "older":  # seconds, and needs no package besides onnx; PyTorch means to drop it
        axes = {"pixels": {0: "n"}, "features": {0: "n"}}
        return names | {"dynamo": False, "dynamic_axes": axes, "opset_version": OPSET}
    import torch

    return names | {
        "dynamo": True,
        "dynamic_shapes": ({0: torch.export.Dim("n")},),
        "opset_version": NEWER_OPSET,
        "external_data": False,
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch says much while it exports, on every channel; errors still come as exceptions.

    A graph that can't be exported is printed by C++, so the channels themselves are turned away.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(channel, os.dup(channel)) for channel in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for channel, _ in kept:
            os.dup2(nowhere, channel)
        text = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for channel, copy in kept:
            os.dup2(copy, channel)
            os.close(copy)
        os.close(nowhere)
        logging.disable(before)
