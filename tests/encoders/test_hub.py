from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from headlight.encoders import load_encoder
from headlight.encoders.hub_models import FAMILIES
from headlight.encoders.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from headlight.errors import HeadlightError
from tests.encoders.checkpoints import (
    TEXT,
    VIT,
    networks,
    noise,
    relative,
    run_openvino,
    run_torch,
    save,
    scatter,
)

transformers = pytest.importorskip(
    "transformers", reason="transformers (pip install 'headlight-images[hub]')"
)

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders. Read it only."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, network in networks().items():
        save(scatter(network), folder / name)
    return folder


@pytest.fixture
def copy(checkpoints: Path, tmp_path: Path):
    """A checkpoint to be changed."""
    return lambda name: Path(shutil.copytree(checkpoints / name, tmp_path / name))


def edit(file: Path, **changes: object) -> None:
    said = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(said | changes))


def library(folder: Path, name: str, images: torch.Tensor, mean: bool = False) -> np.ndarray:
    """Features as each model's own documentation computes them, with the whole model."""
    kind = {
        "clip": transformers.CLIPModel,
        "clip_vision": transformers.CLIPVisionModelWithProjection,
        "siglip": transformers.SiglipModel,
        "siglip_vision": transformers.SiglipVisionModel,
        "vit": transformers.ViTModel,
        "vit_classifier": transformers.ViTForImageClassification,
        "dinov2": transformers.Dinov2Model,
        "registers": transformers.Dinov2WithRegistersModel,
        "dinov3": transformers.DINOv3ViTModel,
        "convnextv2": transformers.ConvNextV2Model,
        "resnet": transformers.ResNetModel,
    }[name]
    model = kind.from_pretrained(folder).eval()
    fitted = {}
    if name in ("clip", "clip_vision", "siglip", "siglip_vision", "vit", "vit_classifier"):
        fitted = {"interpolate_pos_encoding": True}
    if name == "vit_classifier":
        model = model.vit
    with torch.no_grad():
        if name == "clip":
            pooled = model.vision_model(images, **fitted).pooler_output
            return model.visual_projection(pooled).numpy()
        if name == "siglip":
            model = model.vision_model
        given = model(images, **fitted)
    if name == "clip_vision":
        return given.image_embeds.numpy()
    if name in ("siglip", "siglip_vision"):
        return given.pooler_output.numpy()
    if name in ("convnextv2", "resnet"):
        return (
            given.last_hidden_state.mean((2, 3)).numpy()
            if name == "resnet"
            else (given.pooler_output.numpy())
        )
    tokens = given.last_hidden_state
    before = 4 if name in ("registers", "dinov3") else 1
    return (tokens[:, before:].mean(1) if mean else tokens[:, 0]).numpy()


def normalised(pixels: np.ndarray, mean, std) -> torch.Tensor:
    scaled = (pixels / 255 - np.array(mean)) / np.array(std)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).astype(np.float32))


CASES = [
    ("clip", "", 24, 32, (CLIP_MEAN, CLIP_STD)),
    ("clip", "@48", 24, 48, (CLIP_MEAN, CLIP_STD)),
    ("clip_vision", "", 24, 32, (CLIP_MEAN, CLIP_STD)),
    ("siglip", "", 32, 32, (HALF, HALF)),
    ("siglip", "@64", 32, 64, (HALF, HALF)),
    ("siglip_vision", "", 32, 32, (HALF, HALF)),
    ("vit", "", 32, 32, (IMAGENET_MEAN, IMAGENET_STD)),
    ("vit", "@mean", 32, 32, (IMAGENET_MEAN, IMAGENET_STD)),
    ("vit", "@48", 32, 48, (IMAGENET_MEAN, IMAGENET_STD)),
    ("vit_classifier", "", 32, 32, (IMAGENET_MEAN, IMAGENET_STD)),
    ("dinov2", "@56", 32, 56, (IMAGENET_MEAN, IMAGENET_STD)),
    ("dinov2", "@mean", 32, 224, (IMAGENET_MEAN, IMAGENET_STD)),
    ("registers", "@56", 32, 56, (IMAGENET_MEAN, IMAGENET_STD)),
    ("registers", "@mean", 32, 224, (IMAGENET_MEAN, IMAGENET_STD)),
    ("dinov3", "", 32, 32, (IMAGENET_MEAN, IMAGENET_STD)),
    ("dinov3", "@mean,48", 32, 48, (IMAGENET_MEAN, IMAGENET_STD)),
    ("convnextv2", "@64", 24, 64, (IMAGENET_MEAN, IMAGENET_STD)),
    ("resnet", "@64", 16, 64, (IMAGENET_MEAN, IMAGENET_STD)),
]


@pytest.mark.parametrize(("name", "options", "dim", "size", "colours"), CASES)
def test_features_are_the_librarys_own_in_pytorch_and_openvino(
    checkpoints: Path, name: str, options: str, dim: int, size: int, colours
) -> None:
    encoder = load_encoder(f"hf:{checkpoints / name}{options}")
    pixels = noise(encoder)
    theirs = library(checkpoints / name, name, normalised(pixels, *colours), "mean" in options)
    ours = run_torch(encoder, pixels)
    assert (encoder.dim, encoder.input_size) == (dim, size)
    assert ours.shape == (2, dim)
    assert ours.dtype == np.float32
    assert relative(ours, theirs) < 1e-5
    assert relative(run_openvino(encoder, pixels), ours) < 1e-3


def test_positions_of_518_pixels_fit_224_in_openvino_too(tmp_path: Path) -> None:
    """As DINOv2 is published; with registers positions are shrunk with antialiasing."""
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=518, patch_size=14
    )
    network = scatter(transformers.Dinov2WithRegistersModel(config))
    encoder = load_encoder(f"hf:{save(network, tmp_path / 'big')}@mean")
    pixels = noise(encoder, 1)
    assert encoder.input_size == 224
    assert relative(run_openvino(encoder, pixels), run_torch(encoder, pixels)) < 1e-3


def test_cls_mean_and_size_give_other_features_and_other_hashes(checkpoints: Path) -> None:
    spec = f"hf:{checkpoints / 'registers'}"
    usual, same, mean, small = (load_encoder(spec + o) for o in ("", "@cls", "@mean", "@112"))
    assert usual.name == same.name == spec
    assert usual.weights_hash == same.weights_hash
    assert len({e.weights_hash for e in (usual, mean, small)}) == 3
    assert mean.name == f"{spec}@mean"
    pixels = noise(usual)
    assert relative(run_torch(mean, pixels), run_torch(usual, pixels)) > 0.1


def test_name_loads_the_same_encoder_from_any_directory(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoints)
    here = load_encoder("hf:clip@48")
    monkeypatch.chdir(tmp_path)
    there = load_encoder(here.name)
    assert here.name == there.name == f"hf:{checkpoints / 'clip'}@48"
    assert here.weights_hash == there.weights_hash


def test_other_weights_have_another_hash(copy) -> None:
    folder = copy("vit")
    before = load_encoder(f"hf:{folder}").weights_hash
    save(scatter(networks()["vit"], seed=1), folder)
    assert load_encoder(f"hf:{folder}").weights_hash != before


def test_half_precision_checkpoint_runs_in_float32(tmp_path: Path) -> None:
    network = scatter(networks()["dinov3"])
    full = load_encoder(f"hf:{save(network, tmp_path / 'full')}")
    half = load_encoder(f"hf:{save(network.half(), tmp_path / 'half')}")
    built = half.build()
    assert {weight.dtype for weight in built.parameters()} == {torch.float32}
    pixels = noise(half)
    assert relative(run_torch(half, pixels), run_torch(full, pixels)) < 1e-2


def test_weights_in_several_files_are_the_weights_in_one(checkpoints: Path, tmp_path: Path) -> None:
    whole = load_encoder(f"hf:{checkpoints / 'siglip'}")
    network = transformers.SiglipModel.from_pretrained(checkpoints / "siglip")
    network.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    files = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(files) > 2
    shards = load_encoder(f"hf:{tmp_path / 'shards'}")
    pixels = noise(whole)
    assert (run_torch(shards, pixels) == run_torch(whole, pixels)).all()
    files[1].unlink()
    with pytest.raises(HeadlightError, match=f"{files[1].name}: is missing, and .*index"):
        load_encoder(f"hf:{tmp_path / 'shards'}")


def peak_memory() -> int:
    """Bytes, since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_the_text_tower_takes_no_memory(checkpoints: Path, tmp_path: Path) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory (needs Linux)")
    text = TEXT | {"vocab_size": 2**18, "hidden_size": 64}  # 64 MiB of float32
    config = transformers.CLIPConfig(text_config=text, vision_config=VIT, projection_dim=24)
    folder = save(transformers.CLIPModel(config), tmp_path / "clip")
    assert (folder / "model.safetensors").stat().st_size > 2**26
    load_encoder(f"hf:{checkpoints / 'clip'}").build()  # imports
    encoder = load_encoder(f"hf:{folder}")
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory()
    network = encoder.build()
    assert peak_memory() - before < 2**24
    assert not any("text" in name for name, _ in network.named_parameters())


def test_nothing_is_printed_from_checkpoint_to_features(checkpoints: Path, tmp_path: Path) -> None:
    """By a process of its own: the library keeps the stderr of when it was imported."""
    code = """
import sys
import numpy as np
from headlight.encoders import load_encoder
from headlight.engines import make_engine
for spec in sys.argv[1:]:
    encoder = load_encoder(spec)
    image = np.zeros((encoder.input_size, encoder.input_size, 3), np.uint8)
    assert len(list(make_engine(encoder, "cpu").encode([image]))) == 1
"""
    specs = [f"hf:{checkpoints / name}" for name in ("clip", "vit_classifier", "registers@56")]
    done = subprocess.run(
        [sys.executable, "-c", code, *specs],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_settings_of_the_library_stay_as_they_were(checkpoints: Path) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity()
    for level, bars in ((logging.INFO, True), (logging.ERROR, False)):
        logging.set_verbosity(level)
        (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
        load_encoder(f"hf:{checkpoints / 'clip'}").build()
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)
    logging.set_verbosity(before)
    logging.enable_progress_bar()


def test_defaults_of_a_configuration_that_says_nothing_are_the_librarys() -> None:
    """Configurations on the hub leave out what is usual."""
    for kind, family in FAMILIES.items():
        config = transformers.AutoConfig.for_model(kind)
        config = getattr(config, "vision_config", config)
        assert family.hidden_size == config.hidden_size, kind
        assert family.image_size == config.image_size, kind
        if kind != "dinov2_with_registers":  # 16 there, and 14 in every checkpoint
            assert family.patch_size == config.patch_size, kind


def test_short_configuration_is_completed(copy) -> None:
    """As that of the published SigLIP: ``vision_config`` holds next to nothing."""
    folder = copy("siglip")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "siglip", "vision_config": {"image_size": 256}})
    )
    encoder = load_encoder(f"hf:{folder}")
    assert (encoder.dim, encoder.input_size, encoder.squash) == (768, 256, True)


def photographs() -> list[Image.Image]:
    """Of 600 × 400 pixels and turned: nothing is rounded when they are resized and cropped."""
    from sklearn.datasets import load_sample_images

    wide = [Image.fromarray(image).crop((0, 0, 600, 400)) for image in load_sample_images().images]
    return [*wide, *(image.transpose(Image.Transpose.ROTATE_90) for image in wide)]


def blurred() -> Image.Image:
    """Of 640 × 427 pixels, without details."""
    from sklearn.datasets import load_sample_images

    return Image.fromarray(load_sample_images().images[0]).filter(ImageFilter.GaussianBlur(4))


def levels(network: torch.nn.Module, pixels: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far the image that a network sees is from another, in levels of 255."""
    seen = []
    hook = network.network.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True
    )
    with torch.no_grad():
        network(torch.tensor(pixels[None]))
    hook.remove()
    assert seen[0].shape == theirs.shape
    return ((seen[0] - torch.tensor(theirs)) * network.std).abs().numpy()


def processor(name: str, **settings: object):
    """The library's own, on Pillow: the other needs torchvision."""
    kind = getattr(transformers, f"{name}ImageProcessorPil", None)
    return (kind or getattr(transformers, f"{name}ImageProcessor"))(**settings)


@pytest.mark.parametrize(
    ("checkpoint", "kind", "settings", "size"),
    [
        ("clip", "CLIP", {}, 224),
        ("clip", "CLIP", {"size": {"shortest_edge": 40}, "crop_size": 32}, 32),
        ("siglip", "Siglip", {}, 224),
        ("siglip", "Siglip", {"size": {"height": 384, "width": 384}, "resample": 2}, 384),
        ("vit", "ViT", {"image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}, 224),
        (
            "dinov2",
            "Bit",
            {
                "size": {"shortest_edge": 256},
                "image_mean": IMAGENET_MEAN,
                "image_std": IMAGENET_STD,
            },
            224,
        ),
        ("convnextv2", "ConvNext", {"size": {"shortest_edge": 224}}, 224),
        ("convnextv2", "ConvNext", {"size": {"shortest_edge": 384}}, 384),
        ("vit", "ViT", {"do_normalize": False, "do_rescale": False}, 224),
        ("vit", "ViT", {"rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": 1.0}, 224),
    ],
)
def test_networks_see_images_as_the_librarys_processor_shows_them(
    copy, checkpoint: str, kind: str, settings: dict, size: int
) -> None:
    """To half a level on average, and 6 at most: we crop and resize in one step, they in two."""
    folder = copy(checkpoint)
    theirs = processor(kind, **settings)
    theirs.save_pretrained(folder)
    encoder = load_encoder(f"hf:{folder}")
    network = encoder.build()
    assert encoder.input_size == size
    for image in photographs():
        pixels = np.asarray(encoder.plain_view(image))
        off = levels(network, pixels, np.stack(theirs(images=image)["pixel_values"]))
        assert off.mean() < 0.5
        assert off.max() < 6.5


@pytest.mark.parametrize(("checkpoint", "kind"), [("clip", "CLIP"), ("dinov2", "Bit")])
def test_crops_of_other_sizes_are_off_by_a_part_of_a_pixel(
    copy, checkpoint: str, kind: str
) -> None:
    """The library rounds sides and corners to whole pixels, each processor in its own way."""
    folder = copy(checkpoint)
    theirs = processor(kind, **({"size": {"shortest_edge": 256}} if kind == "Bit" else {}))
    theirs.save_pretrained(folder)
    encoder = load_encoder(f"hf:{folder}")
    pixels = np.asarray(encoder.plain_view(blurred()))
    off = levels(encoder.build(), pixels, np.stack(theirs(images=blurred())["pixel_values"]))
    assert off.mean() < 1.5


def test_old_files_give_the_size_as_one_number(copy) -> None:
    """It is the shorter side to CLIP, and both sides of a square to ViT, as in DINO's file."""
    for name, kind, size, crop, expected in [
        ("clip", "CLIPFeatureExtractor", 256, 224, (224, 0.875, False)),
        ("vit", "ViTFeatureExtractor", 224, None, (224, 1.0, True)),
    ]:
        folder = copy(name)
        said = {"feature_extractor_type": kind, "size": size, "resample": 2}
        more = {"crop_size": crop, "do_center_crop": True} if crop else {}
        edit(folder / "preprocessor_config.json", **said, **more)
        encoder = load_encoder(f"hf:{folder}")
        assert (encoder.input_size, encoder.crop, encoder.squash) == expected
        assert encoder.resample == Image.Resampling.BILINEAR


def test_processor_config_is_read_too(copy) -> None:
    folder = copy("clip")
    image = {"size": {"shortest_edge": 64}, "crop_size": {"height": 48, "width": 48}}
    edit(folder / "processor_config.json", image_processor=image)
    encoder = load_encoder(f"hf:{folder}")
    assert (encoder.input_size, encoder.crop) == (48, 0.75)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"size": {"height": 224, "width": 336}}, "336 × 224 pixels: only square"),
        ({"size": 200, "crop_size": 224, "do_center_crop": True}, "larger than the image"),
        ({"size": "large"}, "can't be followed"),
        ({"size": {"height": 0, "width": 0}}, "a size of 0 pixels"),
        ({"image_std": [0, 1, 1]}, "above 0"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order is not done here"),
    ],
)
def test_preprocessing_that_is_not_done_here_is_refused(copy, said: dict, sentence: str) -> None:
    folder = copy("vit")
    edit(folder / "preprocessor_config.json", **said)
    with pytest.raises(HeadlightError, match=rf"preprocessor_config.json: .*{sentence}"):
        load_encoder(f"hf:{folder}")


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("clip", "@mean", "no option @mean"),
        ("siglip", "@cls", "no option @cls"),
        ("resnet", "@mean", "no option @mean"),
        ("dinov2", "@100", "a multiple of 14, the side of its patches, and at least 32"),
        ("vit", "@0", "at least 32"),
        ("bert", "", "a model of type bert gives no features of single images"),
    ],
)
def test_what_a_model_can_not_do_is_refused(
    checkpoints: Path, name: str, options: str, sentence: str
) -> None:
    with pytest.raises(HeadlightError, match=sentence) as caught:
        load_encoder(f"hf:{checkpoints / name}{options}")
    assert "\n" not in str(caught.value)


def test_damaged_checkpoints_get_one_sentence(copy, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    lacking = copy("vit")
    weights = load_file(lacking / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, lacking / "model.safetensors", {"format": "pt"})
    with pytest.raises(HeadlightError, match=r"incomplete: 1 weights .* such as layernorm.weight"):
        load_encoder(f"hf:{lacking}").build()

    other = copy("clip_vision")
    edit(other / "config.json", hidden_size=64)
    with pytest.raises(HeadlightError, match="clip_vision: ") as caught:
        load_encoder(f"hf:{other}").build()
    assert "\n" not in str(caught.value)

    cut = copy("dinov2")
    data = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(HeadlightError, match="transformers can't load it"):
        load_encoder(f"hf:{cut}").build()

    pickled = copy("siglip")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(HeadlightError, match="no weights in the safetensors format"):
        load_encoder(f"hf:{pickled}")

    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(HeadlightError, match=r"no config.json in "):
        load_encoder(f"hf:{bare}")

    (bare / "config.json").write_text("{")
    with pytest.raises(HeadlightError, match=r"config.json: can't be read as JSON"):
        load_encoder(f"hf:{bare}")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "siglip2"}, "NaFlex"),
        ({"architecture": "resnet18"}, "--encoder timm:NAME"),
        ({"hello": 1}, "gives no model_type"),
        ({"model_type": "of the future"}, "transformers does not know this model"),
        ({"model_type": "siglip_vision_model", "vision_use_head": False}, "no pooling head"),
    ],
)
def test_other_models_are_refused_by_their_configuration(copy, config: dict, sentence: str) -> None:
    folder = copy("vit")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(HeadlightError, match=sentence):
        load_encoder(f"hf:{folder}")


def test_code_of_a_checkpoint_is_never_run(copy, tmp_path: Path) -> None:
    folder = copy("vit")
    proof = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(proof)!r}, 'w')\n")
    for kind in ("vit", "evil"):
        edit(
            folder / "config.json",
            model_type=kind,
            auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"},
        )
        if kind == "vit":
            load_encoder(f"hf:{folder}").build()
        else:
            with pytest.raises(HeadlightError, match="does not know this model"):
                load_encoder(f"hf:{folder}")
    assert not proof.exists()


def test_missing_transformers_gives_the_extra(checkpoints: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(HeadlightError, match=r"pip install 'headlight-images\[hub\]'"):
        load_encoder(f"hf:{checkpoints / 'vit'}")


def test_neither_folder_nor_repository() -> None:
    for where in ("/no/such/folder", "only-a-name", "a/b/c", ""):
        with pytest.raises(HeadlightError, match=r"no such folder, and no owner/name"):
            load_encoder(f"hf:{where}")
