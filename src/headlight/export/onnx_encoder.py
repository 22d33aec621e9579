"""An encoder as an ONNX graph, joined with the head's graph."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headlight.encoders import load_encoder, load_encoders
from headlight.errors import HeadlightError
from headlight.export.onnx_head import IR_VERSION, OPSET
from headlight.review.prediction import refuse_code
from headlight.runs import Run
from headlight.runs.embedding import IMPORTED

if TYPE_CHECKING:
    import onnx
    import torch

    from headlight.encoders.base import Encoder

MOST_BYTES = 1_900_000_000  # of weights: a file in protocol buffers ends at 2 GiB
NEWER_OPSET = 18  # the least that PyTorch's newer exporter writes


class Unexportable(Exception):  # noqa: N818 - no failure: the head alone is exported
    """The encoder can't be exported; the message is the reason, for the model card."""


def encoder_of(run: Run) -> Encoder:
    """The one encoder that the run's features are of.

    Raises:
        Unexportable: features computed elsewhere, several encoders, none here, or other weights.
    """
    wanted = run.info.encoder
    if wanted.name.startswith(IMPORTED):
        raise Unexportable("the features were precomputed")
    try:
        refuse_code(run)
    except HeadlightError as error:
        raise Unexportable("the encoder imports code, which an export never does") from error
    try:
        encoders = load_encoders(wanted.name)
    except HeadlightError as error:
        raise Unexportable(f"the encoder can't be loaded here: {error}") from error
    if len(encoders.parts) > 1:
        raise Unexportable("the features are of several encoders, whose images differ in size")
    if encoders.weights_hash != wanted.weights:
        raise Unexportable("the encoder's weights here are not those of the run")
    if encoders.parts[0].convert is not None:
        raise Unexportable("the encoder is an ONNX file already, which headlight does not change")
    return encoders.parts[0]


def network_of(encoder: Encoder) -> torch.nn.Module:
    """The encoder's network, in evaluation mode and float32.

    Raises:
        Unexportable: it can't be loaded as a PyTorch module.
    """
    try:
        return encoder.build()
    except HeadlightError as error:
        raise Unexportable(f"the encoder can't be loaded here: {error}") from error


def encoder_model(encoder: Encoder, network: torch.nn.Module) -> tuple[onnx.ModelProto, int]:
    """An encoder, from pixels to features, as a graph.

    PyTorch writes it in a separate process, because it prints to stdout and stderr, also from C++,
    and redirecting those here would silence everything else in this process.

    Arguments:
        encoder: `load_encoder` must load it from its name.
        network: what it builds.

    Returns:
        A model, input ``pixels``, uint8 (n, size, size, 3), output ``features``, float32
        (n, dim); and the version of its operators.

    Raises:
        Unexportable: PyTorch can't, or the weights are larger than a file of ONNX may be.
    """
    import onnx

    size_in_bytes = sum(4 * weight.numel() for weight in network.parameters())
    if size_in_bytes > MOST_BYTES:
        raise Unexportable(
            f"the encoder's weights, {size_in_bytes / 1e9:.1f} GB, exceed the limit of ONNX files"
        )
    with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
        file, reason = Path(folder) / "encoder.onnx", Path(folder) / "reason"
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", __name__, encoder.name, str(file), str(reason)],
            # -P: of the current folder nothing is imported but an encoder that is a function there.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            text = reason.read_text("utf-8") if reason.exists() else f"exit {done.returncode}"
            raise Unexportable(f"PyTorch can't write the encoder as ONNX: {text}")
        model = onnx.load(file)
    model.ir_version = IR_VERSION
    return model, model.opset_import[0].version


def main(name: str, file: str, reason: str) -> None:
    """Write the encoder ``name`` to ``file``; if it can't be done, why to ``reason``."""
    import torch

    encoder = load_encoder(name)
    size = encoder.input_size
    pixels = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    )
    first: Exception | None = None
    for kind in ("older", "newer"):
        try:
            torch.onnx.export(encoder.build(), (pixels,), file, **_options(kind))
        except Exception as error:  # of many kinds; what matters is that it could not
            first = first or error
        else:
            return
    Path(reason).write_text(" ".join(str(first).split())[:160], "utf-8")
    sys.exit(1)


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


if __name__ == "__main__":
    main(*sys.argv[1:])
