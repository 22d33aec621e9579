"""The kinds of models that transformers runs for us, and how each gives its features."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from headlight.encoders.preprocessing import CLIP_MEAN, CLIP_STD, HALF, IMAGENET, Preprocessing

TOKENS = "last_hidden_state"


@dataclass(frozen=True)
class Family:
    """How models of one ``model_type`` are run.

    Arguments:
        model: the class of transformers that holds the vision tower, and nothing else.
        about: for `Encoder.description`.
        output: the field of the model's output that holds the features. Of `TOKENS` the class
            token is taken, the first, or the mean of those of patches.
        hidden_size: what the configuration means where it does not say; so are the next two.
        image_size: pixels.
        patch_size: pixels.
        told: it must be told to fit its positions to an image of another size.
        preprocessing: where there is no ``preprocessor_config.json``.
        usual: the side of the image then, pixels; None: the configuration's ``image_size``.
    """

    model: str
    about: str
    output: str = TOKENS
    hidden_size: int = 768
    image_size: int = 224
    patch_size: int = 16
    told: bool = False
    preprocessing: Preprocessing = IMAGENET
    usual: int | None = None


_SQUASHED = Preprocessing(squash=True, resample=Image.Resampling.BILINEAR)
_CLIP = Family(
    "CLIPVisionModelWithProjection",
    "CLIP, projected image embedding",
    output="image_embeds",
    patch_size=32,
    told=True,
    preprocessing=Preprocessing(mean=CLIP_MEAN, std=CLIP_STD),
)
_SIGLIP = Family(
    "SiglipVisionModel",
    "SigLIP, attention-pooled",
    output="pooler_output",
    told=True,
    preprocessing=Preprocessing(mean=HALF, std=HALF, squash=True),
)
FAMILIES = {
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "vit": Family("ViTModel", "Vision transformer", told=True, preprocessing=_SQUASHED),
    "dinov2": Family("Dinov2Model", "DINOv2", patch_size=14, usual=224),
    "dinov2_with_registers": Family("Dinov2WithRegistersModel", "DINOv2 with registers", usual=224),
    "dinov3_vit": Family("DINOv3ViTModel", "DINOv3", hidden_size=384, preprocessing=_SQUASHED),
}
