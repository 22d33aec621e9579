"""What stands around a network: pixels are normalised before it, tokens pooled after it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch

from headlight.encoders.preprocessing import Colour

Pick = Callable[[torch.Tensor], torch.Tensor]


class Pixels(torch.nn.Module):
    """A network that takes pixels: see `Encoder.build`.

    Arguments:
        run: from normalised images, (batch, 3, size, size) float32, to features, (batch, dim).
        network: what `run` calls; held here so that it moves to a device with the rest.
        mean: of each channel, of values from 0 to 1.
        std: of each channel.
    """

    def __init__(self, run: Pick, network: torch.nn.Module, mean: Colour, std: Colour) -> None:
        super().__init__()
        self.network = network
        self._run = run
        self.mean: torch.Tensor
        self.std: torch.Tensor
        for name, values in (("mean", mean), ("std", std)):
            buffer = 255 * torch.tensor(values, dtype=torch.float32).reshape(3, 1, 1)
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of images.

        Arguments:
            pixels: (batch, size, size, 3) uint8.

        Returns:
            (batch, dim) float32.
        """
        images = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return self._run(images).float()


def class_token(tokens: torch.Tensor) -> torch.Tensor:
    """The first: (batch, tokens, dim) to (batch, dim)."""
    return tokens[:, 0]


def patch_mean(before: int) -> Pick:
    """The mean of the tokens of patches.

    Arguments:
        before: tokens that stand before them: of the class, and registers.

    Returns:
        A function of (batch, tokens, dim) that gives (batch, dim).
    """
    return lambda tokens: tokens[:, before:].mean(1)


def hash_state(state: Mapping[str, torch.Tensor], *texts: str) -> str:
    """SHA-256 of weights: names, types, shapes and bytes, in the order of the names; and texts."""
    whole = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()
