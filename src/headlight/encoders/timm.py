"""Encoders of timm, PyTorch Image Models: some thousand, most of them trained on ImageNet."""

from __future__ import annotations

import contextlib
import difflib
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from headlight.encoders.base import Encoder
from headlight.encoders.hub_files import fetch, hash_files, weight_files
from headlight.encoders.options import Options
from headlight.encoders.preprocessing import Preprocessing
from headlight.errors import HeadlightError, one_line

_INSTEAD = "timm:local-dir:FOLDER"
_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def timm_encoder(rest: str, options: Options) -> Encoder:
    """A model of timm, without its classifier.

    Arguments:
        rest: its name there, such as ``resnet50.a1_in1k``; or ``hf_hub:owner/name``, or
            ``local-dir:FOLDER`` with what timm saves for the hub.
        options: a size, if the model can be made for it.

    Raises:
        HeadlightError: timm can't be imported, has no such model, or can't get its weights.
    """
    options.allow("size")
    timm = _timm()
    scheme, _, where = rest.partition(":")
    if scheme == "local-dir":
        rest = f"{scheme}:{Path(where).expanduser().resolve()}"
    name, folder, more = _checkpoint(timm, rest)
    import torch

    with torch.device("meta"):  # shapes only: weights are loaded by `build`
        network = _create(timm, name, options.size, pretrained=False, **more)
        used, suffix = options.apply(preprocessing_of(timm.data.resolve_model_data_config(network)))
        dim = _dim(network, used.input_size)

    def build() -> torch.nn.Module:
        from headlight.encoders.network import Pixels

        network = _create(timm, name, options.size, pretrained=True, **more)
        return Pixels(network, network, used.mean, used.std).eval()

    files = [*weight_files(folder), *folder.glob("config.json")]
    return Encoder(
        name=f"timm:{rest}{suffix}",
        dim=dim,
        weights_hash=hash_files(files, repr((rest, used))),
        build=build,
        description=f"timm's {rest}",
        **used.views,
    )


def preprocessing_of(config: dict[str, Any]) -> Preprocessing:
    """From what timm calls a data configuration.

    Arguments:
        config: with ``input_size`` (channels, height, width), ``mean``, ``std``, ``crop_pct``,
            ``crop_mode`` and ``interpolation``.
    """
    squash = config.get("crop_mode") == "squash"
    return Preprocessing(
        input_size=int(config["input_size"][-1]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        crop=1.0 if squash else float(config.get("crop_pct") or 0.875),
        squash=squash,
        resample=_RESAMPLE.get(config.get("interpolation", ""), Image.Resampling.BICUBIC),
    )


def _timm() -> Any:
    try:
        timm = import_module("timm")
        import_module("timm.data")
    except Exception as error:  # torchvision, which it imports, may not fit the torch that is here
        raise HeadlightError(
            f"it needs timm, and importing it fails ({one_line(error)}): "
            "pip install 'headlight-images[timm]', with a build of torchvision that fits your torch"
        ) from error
    return timm


def _checkpoint(timm: Any, rest: str) -> tuple[str, Path, dict[str, Any]]:
    """What timm calls the model, the folder of its weights, and how timm finds them there.

    timm is not left to fetch them: without a network it tries for a minute, and then it takes
    pickled ones.
    """
    scheme, colon, where = rest.partition(":")
    if colon and scheme in ("hf_hub", "hf-hub"):
        folder = fetch(where, _INSTEAD)
        return f"local-dir:{folder}", folder, {}
    if colon and scheme == "local-dir":
        weight_files(Path(where))
        return rest, Path(where), {}
    try:
        known = timm.get_pretrained_cfg(rest)
    except RuntimeError as error:  # no such weights of a model that it has
        raise HeadlightError(one_line(error)) from None
    if known is None:
        near = difflib.get_close_matches(rest, timm.list_models(), n=3) or ["resnet50"]
        raise HeadlightError(
            f"timm {timm.__version__} has no such model; nearest: {', '.join(near)}"
        )
    if not known.hf_hub_id:
        raise HeadlightError(
            "timm has no weights of it in the safetensors format, and others are not read"
        )
    folder = fetch(known.hf_hub_id, _INSTEAD)
    where = str(weight_files(folder)[0])
    return rest, folder, {"pretrained_cfg_overlay": {"file": where, "custom_load": False}}


def _create(timm: Any, name: str, size: int | None, **settings: Any) -> Any:
    settings["num_classes"] = 0
    try:
        with contextlib.suppress(TypeError):
            # Transformers must be told the size; networks of convolutions know no such argument.
            sized = {"img_size": size} if size else {}
            network = timm.create_model(name, **settings, **sized)
            return network.eval().requires_grad_(False)
        network = timm.create_model(name, **settings)
    except Exception as error:
        raise HeadlightError(f"timm can't make {name}: {one_line(error)}") from error
    return network.eval().requires_grad_(False)


def _dim(network: Any, side: int) -> int:
    import torch

    try:
        with torch.no_grad():
            shape = tuple(network(torch.zeros(1, 3, side, side)).shape)
    except Exception as error:
        raise HeadlightError(f"it can't take images of {side} pixels: {one_line(error)}") from error
    if len(shape) != 2:
        raise HeadlightError(f"it gives features of shape {shape}, not one vector an image")
    return shape[1]
