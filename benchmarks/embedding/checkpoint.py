"""Checkpoints of DINOv2's shape with random weights: speed does not depend on what they learned."""

from __future__ import annotations

from pathlib import Path

SHAPES = {
    "S": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6},
    "B": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "tiny": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
}


def save(folder: Path, shape: str) -> None:
    """Writes model and image processor as transformers does.

    Arguments:
        folder: where to; made.
        shape: one of `SHAPES`.
    """
    import torch
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(**SHAPES[shape], patch_size=14, image_size=224)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessorPil(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)
