"""Loading the vision tower of a checkpoint with transformers, quietly and without surprises."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from headlight.encoders.network import Pixels, class_token, patch_mean
from headlight.encoders.preprocessing import Preprocessing
from headlight.errors import HeadlightError, first_line

if TYPE_CHECKING:
    from headlight.encoders.hub_models import Family


def build_network(
    folder: Path, family: Family, preprocessing: Preprocessing, mean: bool
) -> torch.nn.Module:
    """The network of `hub_encoder`, from pixels to features, in evaluation mode and float32.

    Arguments:
        folder: of the checkpoint.
        family: how to run it.
        preprocessing: the size of images, and how pixels are normalised.
        mean: the mean of the tokens of patches is taken, not the class token.

    Raises:
        HeadlightError: transformers can't load it, or weights of it are missing.
    """
    config = _config(folder)
    model = _load(folder, family, config)
    flags = {}
    if family.told and preprocessing.input_size != config.image_size:
        flags["interpolate_pos_encoding"] = True
    before = 1 + getattr(config, "num_register_tokens", 0)
    pick = patch_mean(before) if mean else class_token

    def run(images: torch.Tensor) -> torch.Tensor:
        features = getattr(model(pixel_values=images, **flags), family.output)
        if family.output == "last_hidden_state":
            return pick(features)
        return features.flatten(1)  # pooled maps of ResNets are (batch, dim, 1, 1)

    return Pixels(run, model, preprocessing.mean, preprocessing.std).eval()


def pooled_dim(folder: Path, size: int) -> int:
    """Length of the pooled vector that ``AutoModel`` gives, found without weights.

    Arguments:
        folder: of the checkpoint.
        size: side of the image, pixels.

    Raises:
        HeadlightError: it gives none.
    """
    config = _config(folder)
    kind = config.model_type
    try:
        with _quiet(), torch.device("meta"), torch.no_grad():  # shapes only, no numbers
            from transformers import AutoModel

            model = AutoModel.from_config(config, trust_remote_code=False).eval()
            pooled = model(pixel_values=torch.zeros(1, 3, size, size)).pooler_output
        shape = tuple(pooled.shape)
    except Exception as error:
        raise HeadlightError(
            f"a model of type {kind} gives no features of single images of {size} "
            f"pixels ({first_line(error)}); choose another (`headlight encoders`)"
        ) from error
    if len(shape) < 2 or shape[2:] not in ((), (1, 1)):
        raise HeadlightError(f"a model of type {kind} gives no pooled vector an image")
    return shape[1]


def _config(folder: Path) -> Any:
    """The configuration of the vision tower."""
    try:
        with _quiet():
            from transformers import AutoConfig

            config = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise HeadlightError(
            f"{folder}: the installed transformers does not know this model: {first_line(error)}"
        ) from error
    if config.model_type == "clip":  # the size of its projection stands outside the tower
        config.vision_config.projection_dim = config.projection_dim
    return getattr(config, "vision_config", config)


def _load(folder: Path, family: Family, config: Any) -> torch.nn.Module:
    try:
        with _quiet():
            import transformers

            # Without the pooler: it is not trained by DINO, nor in many other checkpoints.
            more = {"add_pooling_layer": False} if family.model == "ViTModel" else {}
            model, info = getattr(transformers, family.model).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **more,
            )
    except Exception as error:
        raise HeadlightError(
            f"{folder}: transformers can't load it: {first_line(error)}"
        ) from error
    lacking = sorted(str(key) for key in info["missing_keys"])
    if lacking or info["mismatched_keys"]:
        which = lacking[0] if lacking else str(next(iter(info["mismatched_keys"])))
        raise HeadlightError(
            f"{folder}: damaged or incomplete: {len(lacking) + len(info['mismatched_keys'])} "
            f"weights of the network are missing or of another shape, such as {which}"
        )
    # Tracing, for OpenVINO, looks at every attribute, and this one warns until it is set.
    for part in model.modules():
        if isinstance(getattr(type(part), "loss_function", None), property):
            part.loss_function = None
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers says nothing of weights that are left out, and shows no bars, meanwhile."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
