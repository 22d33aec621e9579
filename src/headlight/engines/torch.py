"""Encoding with PyTorch: on a GPU, or on a CPU where OpenVINO can't."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext

import numpy as np
import torch

from headlight.encoders.base import Encoder
from headlight.engines.base import Engine
from headlight.engines.batching import Batches, half, largest_batch
from headlight.engines.probe import fault, probe_images, reference_features

ON_CPU = 4
IN_FLIGHT = 2  # batches: one is computed while the next one's pixels travel


class TorchEngine(Engine):
    """Batches of fixed size, channels last.

    On a GPU pixels are copied from pinned memory on a separate stream while the previous batch is
    computed, and features come back without waiting. Arithmetic there is bfloat16 where the
    features bear it (`probe.fault`), else float32; on a CPU it is float32. The last batch is filled
    up, so that every batch runs the same kernels. Should memory run out all the same, the batch is
    halved, and from there on rounding may differ.

    Arguments:
        encoder: what to run.
        device: as PyTorch names it.
        batch_size: images a batch; if left out 4 on a CPU, where more are no faster, and on a GPU
            as many as its memory allows, up to 512.
        precision: ``bf16`` or ``f32``; chosen as above if left out.
    """

    def __init__(
        self,
        encoder: Encoder,
        device: str,
        batch_size: int | None = None,
        *,
        precision: str | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self._shape = (encoder.input_size, encoder.input_size, 3)
        self._dim = encoder.dim
        self._network = encoder.build().to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._precision = precision or (self._chosen_precision() if self._cuda else "f32")
        self.batch_size = batch_size or (largest_batch(self._fits) if self._cuda else ON_CPU)
        self.name = f"torch-{self._precision}"
        self._copies = torch.cuda.Stream(self._device) if self._cuda else None

    def encode(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Engine.encode`."""
        batches = Batches(images, self.batch_size)
        idle: deque[_Slot] = deque()
        running: deque[_Slot] = deque()
        while batch := batches.take():
            if len(running) == IN_FLIGHT:
                idle.append(running.popleft())
                yield from idle[-1].results()
            slot = self._started(idle, batch)
            if slot is not None:
                running.append(slot)
                continue
            while running:
                yield from running.popleft().results()
            idle.clear()
            self._free()
            batches.put_back(batch)
            batches.size = self.batch_size = half(self.batch_size)
        while running:
            yield from running.popleft().results()

    def _started(self, idle: deque[_Slot], batch: list[np.ndarray]) -> _Slot | None:
        """The memory in which a batch is now computed; None: there is too little."""
        try:
            shape = (self.batch_size, *self._shape)
            slot = idle.popleft() if idle else _Slot(shape, self._dim, self._device)
            slot.fill(batch)
            if self._copies:
                with torch.cuda.stream(self._copies):
                    slot.there.copy_(slot.pixels, non_blocking=True)
                torch.cuda.current_stream(self._device).wait_stream(self._copies)
            slot.features.copy_(self._forward(slot.there), non_blocking=True)
            slot.mark()
        except torch.OutOfMemoryError:
            return None
        return slot

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        bf16 = self._precision == "bf16"
        context = torch.autocast(self._device.type, torch.bfloat16) if bf16 else nullcontext()
        with torch.no_grad(), context:
            return self._network(pixels).float()

    def _fits(self, size: int) -> bool:
        """Whether a batch of so many images finds memory, beside the pixels of another."""
        pixels = torch.zeros((IN_FLIGHT, size, *self._shape), dtype=torch.uint8)
        try:
            self._forward(pixels.to(self._device)[0]).cpu()
            enough = True
        except torch.OutOfMemoryError:
            enough = False
        self._free()
        return enough

    def _free(self) -> None:
        if self._cuda:
            torch.cuda.empty_cache()

    def _chosen_precision(self) -> str:
        images = probe_images(self._shape[0])
        expected = reference_features(self._network, images)
        self._precision = "bf16"
        found = self._forward(torch.from_numpy(images).to(self._device)).cpu().numpy()
        return "f32" if fault(found, expected, "bf16") else "bf16"


class _Slot:
    """Memory for one batch on its way: pixels here, on the device, and features back here.

    Arguments:
        shape: of the pixels, (batch, size, size, 3).
        dim: length of one feature vector.
        device: where the network is.
    """

    def __init__(self, shape: tuple[int, ...], dim: int, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self.pixels = torch.zeros(shape, dtype=torch.uint8, pin_memory=cuda)
        self.there = self.pixels.to(device)  # itself, where the device is the CPU
        self.features = torch.empty((shape[0], dim), pin_memory=cuda)
        self._done = torch.cuda.Event() if cuda else None
        self._stream = torch.cuda.current_stream(device) if cuda else None
        self._images = 0

    def fill(self, batch: list[np.ndarray]) -> None:
        """Copy images in, and zeros behind them."""
        pixels = self.pixels.numpy()
        for row, image in enumerate(batch):
            pixels[row] = image
        pixels[len(batch) :] = 0
        self._images = len(batch)

    def mark(self) -> None:
        """To be called when all work on the batch is queued."""
        if self._done is not None:
            self._done.record(self._stream)

    def results(self) -> list[np.ndarray]:
        """Wait, and return the features of the images, (dim,) float32 each."""
        if self._done is not None:
            self._done.synchronize()
        return list(self.features[: self._images].numpy().copy())
