"""Tuning the last blocks of an encoder's network with low-rank adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec

import torch

from headlight.encoders.base import Encoder
from headlight.errors import HeadlightError

RANK, ALPHA = 8, 16
# Of the layers, from the last one backwards.
SHARE = 1 / 3
LEARNING_RATE, WEIGHT_DECAY = 3e-4, 0.01
# Of cosines to the clusters' directions: those of `LinearHeads`.
SHARPNESS = 20.0

Batch = tuple[torch.Tensor, torch.Tensor]


def tune(
    encoder: Encoder,
    batches: Iterable[Batch],
    mean: torch.Tensor,
    directions: torch.Tensor,
    *,
    n_steps: int,
    device: str = "cpu",
    progress: Callable[[int, int], object] | None = None,
) -> torch.nn.Module:
    """The encoder's network after low-rank adapters of its last third learned to tell clusters.

    LoRA (Hu et al., arXiv:2106.09685) on linear layers and dense convolutions, merged into the
    weights in the end. The loss is the cross-entropy of clusters, by cosine of the centred
    features with one direction a cluster, which learn too. Normalisation keeps its statistics.

    Arguments:
        encoder: a PyTorch network.
        batches: pixels (batch, size, size, 3) uint8 and clusters int64 (batch,).
        mean: float32 (dim,), of the features.
        directions: float32 (clusters, dim), of each cluster's centred mean, of length 1.
        n_steps: batches there are, at least 1.
        device: as PyTorch names it.
        progress: called with (steps done, n_steps).

    Returns:
        As ``encoder.build()``, on the CPU, in evaluation mode.

    Raises:
        HeadlightError: peft is not installed, or the encoder has no such layer or is no PyTorch
            network.
    """
    require(encoder)
    from peft import LoraConfig, get_peft_model

    network = encoder.build().eval()
    names = _last_layers(network)
    if not names:
        raise HeadlightError(f"encoder {encoder.name} has no layer that --adapt could tune")
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=names, lora_dropout=0.0)
    tuned = get_peft_model(network, config).to(device).eval()
    centre = mean.to(device)
    heads = torch.nn.Parameter(SHARPNESS * directions.to(device))
    learning = [p for p in tuned.parameters() if p.requires_grad] + [heads]
    optimizer = torch.optim.AdamW(learning, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for step, (pixels, labels) in enumerate(batches, 1):
        features = torch.nn.functional.normalize(tuned(pixels.to(device)) - centre, dim=1)
        loss = torch.nn.functional.cross_entropy(features @ heads.T, labels.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step, n_steps)
    return tuned.merge_and_unload().cpu().eval()


def require(encoder: Encoder) -> None:
    """Refuses, before any work, what can't be tuned.

    Raises:
        HeadlightError: peft is not installed, or the encoder is no PyTorch network.
    """
    if not find_spec("peft"):
        raise HeadlightError("--adapt needs peft: pip install 'headlight[adapt]'")
    if encoder.convert is not None:
        raise HeadlightError(f"--adapt tunes PyTorch networks, and {encoder.name} is none")


def _last_layers(network: torch.nn.Module) -> list[str]:
    """Names of the last third of the layers that adapters can be put on."""
    names = [
        name
        for name, layer in network.named_modules()
        if type(layer) is torch.nn.Linear or (type(layer) is torch.nn.Conv2d and layer.groups == 1)
    ]
    return names[len(names) - max(1, round(SHARE * len(names))) :] if names else []
