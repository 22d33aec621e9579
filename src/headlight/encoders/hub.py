"""Encoders from the Hugging Face hub, or from folders written by ``save_pretrained``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headlight.encoders.base import Encoder
from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.hub_files import fetch, hash_files, is_repository, weight_files
from headlight.encoders.hub_models import FAMILIES, TOKENS, Family
from headlight.encoders.options import Options
from headlight.encoders.preprocessing import Preprocessing, read_json, read_preprocessing
from headlight.errors import HeadlightError

if TYPE_CHECKING:
    import torch


def hub_encoder(where: str, options: Options) -> Encoder:
    """A vision encoder of transformers; of a model of images and texts, its vision tower.

    Model types outside `FAMILIES` run where transformers' ``AutoModel`` gives them one pooled
    vector an image, as it does ConvNeXt, Swin, ResNet or DINOv3's ConvNeXt; without a
    ``preprocessor_config.json`` they get `IMAGENET`.

    Arguments:
        where: ``owner/name`` on the hub, or a folder, which wins if it exists.
        options: ``@mean`` and ``@cls``, the usual, where there is a class token; and a side of
            the image, a multiple of that of the patches.

    Raises:
        HeadlightError: it can't be had, or can't be used.
    """
    folder = Path(where).expanduser()
    if where and folder.is_dir():
        folder = folder.resolve()
        return _encoder(f"hf:{folder}", lambda: folder, str(folder), options)
    if not is_repository(where):
        raise HeadlightError("no such folder, and no owner/name on the hub")
    return _encoder(f"hf:{where}", lambda: fetch(where), where, options)


def published_encoder(name: str, options: Options) -> Encoder:
    """The encoder of `CATALOGUE` with this short name; see `hub_encoder`."""
    repository = CATALOGUE[name].repository
    return _encoder(name, lambda: fetch(repository), repository, options)


def _encoder(name: str, get_folder: Callable[[], Path], origin: str, options: Options) -> Encoder:
    if not find_spec("transformers"):
        raise HeadlightError("it needs transformers: pip install 'headlight-images[hub]'")
    folder = get_folder()
    config = _config(folder)
    family = _family(config)
    vision = config.get("vision_config") or config
    options.allow("size", *(["pooling"] if family.output == TOKENS else []))
    if options.size is not None:
        _check_size(options.size, family, vision)
    used, suffix = options.apply(read_preprocessing(folder, _default(family, vision)))
    files = [*weight_files(folder), folder / "config.json"]
    return Encoder(
        name=name + suffix,
        dim=_dim(folder, family, config, used.input_size),
        weights_hash=hash_files(files, repr((options.mean, used))),
        build=lambda: _build(folder, family, used, options.mean),
        description=f"{family.about}, weights from {origin}",
        **used.views,
    )


def _config(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        raise HeadlightError(
            f"no config.json in {folder}: give the folder that save_pretrained wrote"
        )
    return read_json(folder / "config.json")


def _family(config: dict[str, Any]) -> Family:
    kind = config.get("model_type")
    if kind in ("siglip2", "siglip2_vision_model"):
        raise HeadlightError(
            "SigLIP 2's NaFlex models take images of any shape, which is not "
            "done here; choose one of fixed size, such as siglip2-base"
        )
    if not kind:
        cure = "its weights are timm's: --encoder timm:NAME" if "architecture" in config else ""
        raise HeadlightError(
            f"its config.json gives no model_type, so it is no model of "
            f"transformers{'; ' if cure else ''}{cure}"
        )
    if config.get("vision_config", config).get("vision_use_head") is False:
        raise HeadlightError("it has no pooling head, so no image features")
    return FAMILIES.get(kind) or Family("AutoModel", str(kind), output="pooler_output")


def _default(family: Family, vision: dict[str, Any]) -> Preprocessing:
    size = family.usual or _one(vision.get("image_size", family.image_size))
    return family.preprocessing.at(size)


def _check_size(size: int, family: Family, vision: dict[str, Any]) -> None:
    patch = 1 if family.model == "AutoModel" else _one(vision.get("patch_size", family.patch_size))
    smallest = max(32, 2 * patch)
    if size % patch or size < smallest:
        rule = f"a multiple of {patch}, the side of its patches, and " if patch > 1 else ""
        raise HeadlightError(f"the size must be {rule}at least {smallest}")


def _one(value: Any) -> int:
    """Of a side given once, or as height and width."""
    return value if isinstance(value, int) else int(value[0])


def _dim(folder: Path, family: Family, config: dict[str, Any], size: int) -> int:
    if family.model == "AutoModel":
        from headlight.encoders.hub_network import pooled_dim

        return pooled_dim(folder, size)
    if (
        family.output == "image_embeds"
    ):  # of a whole CLIP, the vision tower's own configuration may differ
        return config.get("projection_dim", 512)
    return (config.get("vision_config") or config).get("hidden_size", family.hidden_size)


def _build(
    folder: Path, family: Family, preprocessing: Preprocessing, mean: bool
) -> torch.nn.Module:
    from headlight.encoders.hub_network import build_network

    return build_network(folder, family, preprocessing, mean)
