"""Encoders in ONNX files, run by OpenVINO as they are."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headlight.encoders.base import Encoder
from headlight.encoders.hub_files import hash_files
from headlight.encoders.onnx_weights import external_files
from headlight.encoders.options import Options
from headlight.encoders.preprocessing import IMAGENET, Preprocessing, read_preprocessing
from headlight.errors import HeadlightError

if TYPE_CHECKING:
    import openvino as ov
    import torch

# The outputs that are features, where a model has several.
_NAMES = ("image_embeds", "pooler_output")


def onnx_encoder(rest: str, options: Options) -> Encoder:
    """A vision network in an ONNX file.

    Its one input is (batch, 3, size, size). Its features are the output named ``image_embeds`` or
    ``pooler_output``, else the first: a vector as it is, of tokens the class token or the mean of
    all others, of a map the mean over its places. A ``preprocessor_config.json`` beside the file
    says how images are made ready; without one it is done as for ImageNet.

    Arguments:
        rest: the file.
        options: ``@mean``, and ``@cls``, the usual, for tokens; a size, if the file leaves it open.

    Raises:
        HeadlightError: OpenVINO can't read it, its weights lie outside its folder, or it is no
            such network.
    """
    if not find_spec("openvino"):
        raise HeadlightError("it needs OpenVINO: pip install openvino")
    file = Path(rest).expanduser().resolve()
    if not file.is_file():
        raise HeadlightError(f"no such file: {file}")
    weights = external_files(file)  # checked before OpenVINO opens any
    model = _read(file)
    fixed = _size(model)
    if fixed and options.size not in (None, fixed):
        raise HeadlightError(f"it takes images of {fixed} pixels only")
    used, suffix = options.apply(read_preprocessing(file.parent, IMAGENET).at(fixed))
    output = _features(model, used.input_size, options.pooling)

    def build() -> torch.nn.Module:
        raise HeadlightError(f"{file}: ONNX files run on the CPU, by OpenVINO: give --device cpu")

    return Encoder(
        name=f"onnx:{file}{suffix}",
        dim=_dim(output),
        weights_hash=hash_files([file, *weights], repr((options.mean, used))),
        build=build,
        description=f"{file.name}, run by OpenVINO",
        convert=lambda: _convert(file, used, options.pooling),
        **used.views,
    )


def _convert(file: Path, used: Preprocessing, pooling: str | None) -> ov.Model:
    """From pixels, (1, size, size, 3) uint8, to features, (1, dim) float32."""
    from headlight.encoders.offline_openvino import ov

    external_files(file)
    model = _read(file)
    output = _features(model, used.input_size, pooling)
    whole = ov.Model([output], model.get_parameters(), "encoder")
    steps = ov.preprocess.PrePostProcessor(whole)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(
        [255 * value for value in used.mean]
    ).scale([255 * value for value in used.std]).convert_element_type(
        model.input().get_element_type()
    )
    steps.output().tensor().set_element_type(ov.Type.f32)
    return steps.build()


def _read(file: Path) -> ov.Model:
    from headlight.encoders.offline_openvino import ov

    try:
        # Not by Core.read_model: that has readers of other formats try, and complain, too.
        reader = ov.frontend.FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(str(file)))
    except Exception as error:
        raise HeadlightError(
            f"OpenVINO can't read it as an ONNX model: {_reason(error)}"
        ) from error
    if len(model.inputs) != 1:
        names = ", ".join(sorted(port.any_name for port in model.inputs)) or "none"
        raise HeadlightError(
            f"it must have one input, of images, not {len(model.inputs)} ({names}); of a "
            "model of images and texts export the vision part alone"
        )
    return model


def _size(model: ov.Model) -> int | None:
    """Side of the images it takes; None: any."""
    port = model.input()
    shape = port.partial_shape
    right = shape.rank.is_static and len(shape) == 4 and port.element_type.is_real()
    if right and (shape[1].is_dynamic or shape[1].get_length() == 3):
        sides = [None if side.is_dynamic else side.get_length() for side in (shape[2], shape[3])]
        if sides[0] == sides[1]:
            return sides[0]
    raise HeadlightError(
        f"its input must be images, (batch, 3, size, size) of floating point, "
        f"not {port.element_type.to_string()} {shape}"
    )


def _features(model: ov.Model, size: int, pooling: str | None) -> ov.Output:
    """The output of ``model`` that is (1, dim), after it is made to take one image of ``size``."""
    from headlight.encoders.offline_openvino import ov

    try:
        model.reshape([1, 3, size, size])
    except Exception as error:
        raise HeadlightError(
            f"it can't be run on one image of {size} pixels: {_reason(error)}"
        ) from error
    named = {name: port for port in reversed(model.outputs) for name in port.names}
    port = next((named[name] for name in _NAMES if name in named), model.outputs[0])
    source = port.get_node().input_value(0)
    shape = port.partial_shape
    rank = len(shape) if shape.rank.is_static else 0
    if pooling and rank != 3:
        raise HeadlightError(f"it gives no tokens, so @{pooling} says nothing")
    if rank == 2:
        return source
    if rank == 4:
        return ov.opset8.reduce_mean(source, [2, 3], keep_dims=False).output(0)
    if rank == 3 and pooling != "mean":
        return ov.opset8.gather(source, 0, 1).output(0)
    if rank == 3:
        others = ov.opset8.strided_slice(source, [0, 1], [0, 0], [1, 1], [1, 0], [1, 1]).output(0)
        return ov.opset8.reduce_mean(others, [1], keep_dims=False).output(0)
    raise HeadlightError(f"its output is {shape}: neither vectors, nor tokens, nor maps")


def _dim(output: ov.Output) -> int:
    shape = output.partial_shape
    if shape[1].is_dynamic:
        raise HeadlightError(f"the length of its features can't be told: {shape}")
    return shape[1].get_length()


def _reason(error: Exception) -> str:
    """What OpenVINO says, without the places in its source."""
    text = re.sub(r"(Exception from|Check '.*?' failed at) \S+:\d+:", "", str(error))
    return " ".join(text.split())[:200]
