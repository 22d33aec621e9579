"""Short names of published encoders, and where their checkpoints are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A checkpoint on the Hugging Face hub.

    Arguments:
        repository: ``owner/name``.
        dim: length of one feature vector.
        input_size: side of the image it takes, pixels.
        parameters: of the vision tower, millions.
        family: what it is, and the paper.
        whole: parameters of all that is downloaded, millions: with the text tower; 0: no more.
    """

    repository: str
    dim: int
    input_size: int
    parameters: int
    family: tuple[str, str]
    whole: int = 0

    @property
    def megabytes(self) -> int:
        """Size of the download; all of them are float32."""
        return 4 * (self.whole or self.parameters)

    @property
    def gated(self) -> bool:
        """Whether its licence must be accepted on the hub before it can be downloaded."""
        return self.family == _DINOV3


_DINO = ("DINO", "arXiv:2104.14294")
_DINOV2 = ("DINOv2", "arXiv:2304.07193")
_REGISTERS = ("DINOv2 with registers", "arXiv:2309.16588")
_DINOV3 = ("DINOv3", "arXiv:2508.10104")
_CLIP = ("CLIP", "arXiv:2103.00020")
_SIGLIP = ("SigLIP", "arXiv:2303.15343")
_SIGLIP2 = ("SigLIP 2", "arXiv:2502.14786")

CATALOGUE: dict[str, Published] = {
    "dino-vits16": Published("facebook/dino-vits16", 384, 224, 22, _DINO),
    "dino-vitb16": Published("facebook/dino-vitb16", 768, 224, 86, _DINO),
    "dino-vits8": Published("facebook/dino-vits8", 384, 224, 22, _DINO),
    "dino-vitb8": Published("facebook/dino-vitb8", 768, 224, 86, _DINO),
    "dinov2-small": Published("facebook/dinov2-small", 384, 224, 22, _DINOV2),
    "dinov2-base": Published("facebook/dinov2-base", 768, 224, 87, _DINOV2),
    "dinov2-large": Published("facebook/dinov2-large", 1024, 224, 304, _DINOV2),
    "dinov2-giant": Published("facebook/dinov2-giant", 1536, 224, 1136, _DINOV2),
    "dinov2-small-reg": Published("facebook/dinov2-with-registers-small", 384, 224, 22, _REGISTERS),
    "dinov2-base-reg": Published("facebook/dinov2-with-registers-base", 768, 224, 87, _REGISTERS),
    "dinov2-large-reg": Published(
        "facebook/dinov2-with-registers-large", 1024, 224, 304, _REGISTERS
    ),
    "dinov2-giant-reg": Published(
        "facebook/dinov2-with-registers-giant", 1536, 224, 1136, _REGISTERS
    ),
    "dinov3-vits16": Published("facebook/dinov3-vits16-pretrain-lvd1689m", 384, 224, 22, _DINOV3),
    "dinov3-vitb16": Published("facebook/dinov3-vitb16-pretrain-lvd1689m", 768, 224, 86, _DINOV3),
    "dinov3-vitl16": Published("facebook/dinov3-vitl16-pretrain-lvd1689m", 1024, 224, 303, _DINOV3),
    "clip-vit-b32": Published("openai/clip-vit-base-patch32", 512, 224, 88, _CLIP, 151),
    "clip-vit-b16": Published("openai/clip-vit-base-patch16", 512, 224, 86, _CLIP, 150),
    "clip-vit-l14": Published("openai/clip-vit-large-patch14", 768, 224, 304, _CLIP, 428),
    "clip-vit-l14-336": Published("openai/clip-vit-large-patch14-336", 768, 336, 304, _CLIP, 428),
    "siglip-base": Published("google/siglip-base-patch16-224", 768, 224, 93, _SIGLIP, 203),
    "siglip-large": Published("google/siglip-large-patch16-256", 1024, 256, 316, _SIGLIP, 652),
    "siglip-so400m": Published("google/siglip-so400m-patch14-384", 1152, 384, 428, _SIGLIP, 878),
    "siglip2-base": Published("google/siglip2-base-patch16-224", 768, 224, 93, _SIGLIP2, 375),
    "siglip2-large": Published("google/siglip2-large-patch16-256", 1024, 256, 316, _SIGLIP2, 882),
    "siglip2-so400m": Published(
        "google/siglip2-so400m-patch14-384", 1152, 384, 428, _SIGLIP2, 1136
    ),
}
