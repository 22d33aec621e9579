"""What an encoder is: a frozen network, how images are made ready for it, and its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import openvino as ov
    import torch


@dataclass(frozen=True)
class Encoder:
    """A frozen, pre-trained vision encoder.

    Arguments:
        name: what ``--encoder`` was given, paths made absolute: it loads the same encoder again.
        dim: length of one feature vector.
        input_size: side of the square image the network takes, pixels.
        weights_hash: SHA-256 of the weights; features of other weights are never mixed in.
        build: makes the network in evaluation mode. It takes pixels, (batch, size, size, 3)
            uint8, normalises them itself, and gives features, (batch, dim) float32: so every
            engine runs the same graph, preprocessing included.
        description: one line for ``headlight encoders``.
        crop: share of the shorter side that the central crop of the plain view keeps.
        squash: the plain view is the whole image, squashed to a square, and no crop.
        resample: how the plain view is resized.
        convert: makes an OpenVINO model that does what `build`'s network does, for encoders that
            are no PyTorch module; None: OpenVINO converts what `build` makes.
    """

    name: str
    dim: int
    input_size: int
    weights_hash: str
    build: Callable[[], torch.nn.Module]
    description: str
    crop: float = 1.0
    squash: bool = False
    resample: Image.Resampling = Image.Resampling.BICUBIC
    convert: Callable[[], ov.Model] | None = None

    @property
    def min_side(self) -> int:
        """Pixels the shorter side must keep when decoding: crops down to half of it stay sharp."""
        return 2 * self.input_size

    def plain_view(self, image: Image.Image) -> Image.Image:
        """View 0: the central square, or the whole squashed, resized with antialiasing in one step.

        Arguments:
            image: RGB, any size.

        Returns:
            RGB, ``input_size`` × ``input_size``.
        """
        side = min(image.size) * self.crop
        x, y = (image.width - side) / 2, (image.height - side) / 2
        box = (0, 0, *image.size) if self.squash else (x, y, x + side, y + side)
        size = (self.input_size, self.input_size)
        return image.resize(size, self.resample, box=box, reducing_gap=3.0)


@dataclass(frozen=True)
class Encoders:
    """One encoder or several, whose features stand side by side in one vector.

    Arguments:
        parts: in the order of their features, each once.
    """

    parts: tuple[Encoder, ...]

    @property
    def name(self) -> str:
        """The names, joined by ``+``."""
        return "+".join(part.name for part in self.parts)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of the vector of each."""
        return tuple(part.dim for part in self.parts)

    @property
    def dim(self) -> int:
        """Length of the whole vector."""
        return sum(self.dims)

    @property
    def weights_hash(self) -> str:
        """Of one encoder its own; of several a hash of theirs."""
        hashes = [part.weights_hash for part in self.parts]
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )

    @property
    def min_side(self) -> int:
        """See `Encoder.min_side`."""
        return max(part.min_side for part in self.parts)
