"""What an encoder is: a frozen network, how images are made ready for it, and its identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Encoder:
    """A frozen, pre-trained vision encoder.

    Arguments:
        name: short name, as given to ``--encoder``.
        dim: length of one feature vector.
        input_size: side of the square image the network takes, pixels.
        crop: share of the shorter side that the central crop of the plain view keeps.
        weights_hash: SHA-256 of the weights; features of other weights are never mixed in.
        build: makes the network in evaluation mode. It takes pixels, (batch, size, size, 3)
            uint8, normalises them itself, and gives features, (batch, dim) float32: so every
            engine runs the same graph, preprocessing included.
        description: one line for ``headlight encoders``.
    """

    name: str
    dim: int
    input_size: int
    crop: float
    weights_hash: str
    build: Callable[[], torch.nn.Module]
    description: str

    @property
    def min_side(self) -> int:
        """Pixels the shorter side must keep when decoding: crops down to half of it stay sharp."""
        return 2 * self.input_size

    def plain_view(self, image: Image.Image) -> Image.Image:
        """View 0: the central square, resized (bicubic, antialiased) in one step.

        Arguments:
            image: RGB, any size.

        Returns:
            RGB, ``input_size`` × ``input_size``.
        """
        side = min(image.size) * self.crop
        x, y = (image.width - side) / 2, (image.height - side) / 2
        size = (self.input_size, self.input_size)
        box = (x, y, x + side, y + side)
        return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
