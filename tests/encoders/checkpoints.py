"""Tiny checkpoints of every family, written by the libraries' own ``save_pretrained``."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from headlight.encoders import Encoder
from headlight.encoders.offline_openvino import ov

VIT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 8,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def networks() -> dict[str, torch.nn.Module]:
    """One of each family."""
    import transformers as t

    dino = VIT | {"patch_size": 14, "image_size": 70}
    del dino["intermediate_size"]
    return {
        "clip": t.CLIPModel(t.CLIPConfig(text_config=TEXT, vision_config=VIT, projection_dim=24)),
        "clip_vision": t.CLIPVisionModelWithProjection(
            t.CLIPVisionConfig(**VIT, projection_dim=24)
        ),
        "siglip": t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=VIT)),
        "siglip_vision": t.SiglipVisionModel(t.SiglipVisionConfig(**VIT)),
        "vit": t.ViTModel(t.ViTConfig(**VIT)),
        "vit_classifier": t.ViTForImageClassification(t.ViTConfig(**VIT)),
        "dinov2": t.Dinov2Model(t.Dinov2Config(**dino)),
        "registers": t.Dinov2WithRegistersModel(
            t.Dinov2WithRegistersConfig(**dino, num_register_tokens=3)
        ),
        "dinov3": t.DINOv3ViTModel(t.DINOv3ViTConfig(**VIT, num_register_tokens=3)),
        "convnextv2": t.ConvNextV2Model(
            t.ConvNextV2Config(hidden_sizes=[8, 8, 16, 24], depths=[1, 1, 1, 1])
        ),
        "resnet": t.ResNetModel(
            t.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
            )
        ),
        "bert": t.BertModel(
            t.BertConfig(
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
                vocab_size=64,
            )
        ),
    }


def scatter(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Weights at random, biases and positions too: fresh ones hide what is left out."""
    generator = torch.Generator().manual_seed(seed)
    for weight in network.parameters():
        weight.data.normal_(0, 0.1, generator=generator)
    return network.eval()


def save(network: torch.nn.Module, folder: Path) -> Path:
    """Writes a checkpoint, without the library's remarks."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        network.save_pretrained(folder)
    finally:
        logging.enable_progress_bar()
    return folder


def noise(encoder: Encoder, images: int = 2) -> np.ndarray:
    """(images, size, size, 3) uint8."""
    shape = (images, encoder.input_size, encoder.input_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def run_torch(encoder: Encoder, pixels: np.ndarray) -> np.ndarray:
    """Features by PyTorch."""
    with torch.no_grad():
        return encoder.build()(torch.from_numpy(pixels)).numpy()


def run_openvino(encoder: Encoder, pixels: np.ndarray) -> np.ndarray:
    """Features by OpenVINO in float32, an image at a time."""
    if encoder.convert:
        model = encoder.convert()
    else:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of every branch
            example = torch.zeros(1, *pixels.shape[1:], dtype=torch.uint8)
            model = ov.convert_model(encoder.build(), example_input=example)
    model.reshape([1, *pixels.shape[1:]])
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled(image[None])[0] for image in pixels])


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Relative error."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
