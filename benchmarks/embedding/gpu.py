"""A ViT-B/14 of DINOv2's shape on a GPU: images a second, and how much of the card that uses.

The card's own rate is that of the best of a few large square matrix products in bfloat16, measured
in the same process; the network's is its images a second times the floating-point operations
that `torch.utils.flop_counter` counts in one forward pass.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.embedding.checkpoint import save
from benchmarks.embedding.sample import noise
from benchmarks.embedding.turns import spread
from headlight.encoders import Encoder, load_encoder
from headlight.engines import Engine, make_engine
from headlight.engines.torch import TorchEngine

TITLE = "A ViT-B/14 of DINOv2's shape on a GPU"


def operations(encoder: Encoder) -> int:
    """Floating-point operations of one image; a multiplication and an addition count as two."""
    size = encoder.input_size
    # Fused attention is not counted on a CPU; its steps are.
    steps = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), steps:
        encoder.build()(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    return counter.get_total_flops()


def matmul_rate(device: str, side: int = 8192, repeats: int = 20) -> float:
    """Operations a second of square bfloat16 matrix products, the best of three tries."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(4):  # the first warms up
        _wait(device)
        begin = time.perf_counter()
        for _ in range(repeats):
            a @ b
        _wait(device)
        best = max(best, 2 * side**3 * repeats / (time.perf_counter() - begin))
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def measure(
    device: str, images: int, rounds: int, shape: str = "B", matmul_side: int = 8192
) -> str:
    """Markdown.

    Arguments:
        device: ``cuda``: all GPUs, beside one of them; or as PyTorch names one.
        images: how many are encoded in each round, from ready tensors.
        rounds: of all engines in turn.
        shape: of the network, one of `checkpoint.SHAPES`.
        matmul_side: of the matrices that tell the card's own rate.
    """
    one = "cuda:0" if device == "cuda" else device
    with tempfile.TemporaryDirectory() as checkpoint:
        save(Path(checkpoint), shape)
        encoder = load_encoder(f"hf:{checkpoint}")
        plain = TorchEngine(encoder, one)
        engines: dict[str, Engine] = {f"{plain.name}, {one}": plain}
        if device == "cuda" and torch.cuda.device_count() > 1:
            engines[f"torch-bf16, {torch.cuda.device_count()} GPUs"] = make_engine(encoder, "cuda")
        pixels = noise(images, encoder.input_size)
        rates: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(rounds + 1):
            for name, engine in engines.items():
                begin = time.perf_counter()
                for _ in engine.encode(iter(pixels)):
                    pass
                if turn:
                    rates[name].append(images / (time.perf_counter() - begin))
        flops, card = operations(encoder), matmul_rate(one, matmul_side)
    lines = [
        "| engine | images/s | TFLOP/s | of the card's matrix products |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, found in rates.items():
        done = median(found) * flops
        share = f"{done / card:.0%}" if name.endswith(one) else ""
        lines.append(f"| {name} | {spread(found, '.0f', '.1f')} | {done / 1e12:.3g} | {share} |")
    what = torch.cuda.get_device_name(one) if one.startswith("cuda") else one
    about = (
        f"{what}: {card / 1e12:.3g} TFLOP/s in bfloat16 matrix products of side {matmul_side}; "
        f"{encoder.input_size} px, {flops / 1e9:.3g} GFLOP an image, batches of "
        f"{plain.batch_size}, {images:,} ready images"
    )
    return f"{about}; {rounds} rounds in turn, median (min–max).\n\n" + "\n".join(lines)
