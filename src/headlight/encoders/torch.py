"""Encoding with PyTorch: on a GPU, or on a CPU that OpenVINO does not support."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from headlight.encoders.base import Encoder
from headlight.encoders.engine import Engine


class TorchEngine(Engine):
    """Batches of fixed size, channels last; bfloat16 on a GPU, float32 on a CPU.

    The last batch is filled up with zeros, so that every batch runs the same kernels.

    Arguments:
        encoder: what to run.
        device: as PyTorch names it.
        batch_size: images a batch; 256 on a GPU and 16 on a CPU if left out.
    """

    def __init__(self, encoder: Encoder, device: str, batch_size: int | None = None) -> None:
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self._batch_size = batch_size or (256 if self._cuda else 16)
        self._network = encoder.build().to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name = "torch-bf16" if self._cuda else "torch-f32"

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`."""
        stream = iter(images)
        while batch := list(islice(stream, self._batch_size)):
            yield from self._features(np.stack(batch))[: len(batch)]

    @torch.no_grad()
    def _features(self, batch: np.ndarray) -> np.ndarray:
        pixels = np.zeros((self._batch_size, *batch.shape[1:]), np.uint8)
        pixels[: len(batch)] = batch
        tensor = torch.from_numpy(pixels).to(self._device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self._cuda):
            return self._network(tensor).float().cpu().numpy()
