from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from headlight.encoders import load_encoder
from headlight.encoders.timm import preprocessing_of
from headlight.errors import HeadlightError, first_line
from tests.encoders.checkpoints import noise, relative, run_openvino, run_torch


def test_missing_timm_gives_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(HeadlightError, match=r"pip install 'headlight-images\[timm\]'") as caught:
        load_encoder("timm:resnet18")
    assert "\n" not in str(caught.value)


def test_timm_that_fails_on_import_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where torchvision was built for another torch."""
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("raise RuntimeError('no operator\\nnms')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(HeadlightError, match=r"no operator nms.*fits your torch") as caught:
        load_encoder("timm:resnet18")
    assert "\n" not in str(caught.value)


def test_data_configuration_is_followed() -> None:
    said = {
        "input_size": (3, 256, 256),
        "interpolation": "bilinear",
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "crop_pct": 0.95,
        "crop_mode": "center",
    }
    used = preprocessing_of(said)
    assert (used.input_size, used.crop, used.squash) == (256, 0.95, False)
    assert (used.mean, used.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert used.resample == Image.Resampling.BILINEAR
    squashed = preprocessing_of(said | {"crop_mode": "squash"})
    assert (squashed.crop, squashed.squash) == (1.0, True)


@pytest.fixture
def timm():
    try:
        import timm
    except Exception as error:
        pytest.skip(f"timm (pip install 'headlight-images[timm]'): {first_line(error)}")
    return timm


@pytest.fixture
def saved(timm, tmp_path: Path):
    """What timm saves for the hub, of a model with random weights."""

    def save(name: str) -> tuple[torch.nn.Module, Path]:
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=5).eval()
        timm.models.save_for_hf(network, tmp_path / name, safe_serialization=True)
        return network, tmp_path / name

    return save


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [("resnet18", "", 224), ("resnet18", "@96", 96), ("vit_tiny_patch16_224", "@96", 96)],
)
def test_features_are_those_before_the_classifier(
    timm, saved, name: str, options: str, size: int
) -> None:
    network, folder = saved(name)
    encoder = load_encoder(f"timm:local-dir:{folder}{options}")
    pixels = noise(encoder)
    ours = run_torch(encoder, pixels)
    assert encoder.name == f"timm:local-dir:{folder}{options}"
    assert encoder.input_size == size
    assert ours.shape == (2, encoder.dim)
    assert relative(run_openvino(encoder, pixels), ours) < 1e-3
    if not options:
        colours = timm.data.resolve_model_data_config(network)
        images = (pixels / 255 - np.array(colours["mean"])) / np.array(colours["std"])
        images = torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32)
        with torch.no_grad():
            theirs = network.forward_head(network.forward_features(images), pre_logits=True)
        assert relative(ours, theirs.numpy()) < 1e-5


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "vit_base_patch32_clip_224"])
def test_networks_see_images_as_timms_transform_shows_them(timm, saved, name: str) -> None:
    """To a level and a half on average: we crop and resize in one step, they in two."""
    from sklearn.datasets import load_sample_image

    network, folder = saved(name)
    encoder = load_encoder(f"timm:local-dir:{folder}")
    image = Image.fromarray(load_sample_image("flower.jpg")).filter(ImageFilter.GaussianBlur(4))
    config = timm.data.resolve_model_data_config(network)
    seen = []
    ours = encoder.build()
    ours.network.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    with torch.no_grad():
        ours(torch.tensor(np.asarray(encoder.plain_view(image)))[None])
    theirs = timm.data.create_transform(**config)(image)
    levels = 255 * torch.tensor(config["std"])[:, None, None]
    off = (seen[0][0] - theirs).abs() * levels
    assert off.mean() < 1.5


def test_weights_are_loaded_when_the_network_is_built(saved) -> None:
    _, folder = saved("resnet18")
    whole = load_encoder(f"timm:local-dir:{folder}")
    first = whole.build().to(torch.float64)  # an engine may move it
    assert {weight.dtype for weight in whole.build().parameters()} == {torch.float32}
    assert first is not whole.build()
    (folder / "model.safetensors").write_bytes(b"no weights")
    damaged = load_encoder(f"timm:local-dir:{folder}")
    assert damaged.weights_hash != whole.weights_hash
    with pytest.raises(HeadlightError, match="timm can't make .*resnet18") as caught:
        damaged.build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ("no_such_network", "has no such model; nearest: "),
        ("resnet18.no_such_tag", "no_such_tag"),
        ("resnet18@mean", "no option @mean"),
        ("local-dir:/no/such/folder", "no weights in the safetensors format"),
    ],
)
def test_mistakes_get_one_sentence(timm, rest: str, sentence: str) -> None:
    with pytest.raises(HeadlightError, match=sentence) as caught:
        load_encoder(f"timm:{rest}")
    assert "\n" not in str(caught.value)
