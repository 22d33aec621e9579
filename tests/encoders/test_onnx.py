from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headlight.encoders import load_encoder
from headlight.encoders.onnx_weights import external_files
from headlight.encoders.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from headlight.engines import make_engine
from headlight.errors import HeadlightError
from tests.encoders.checkpoints import noise, relative, run_openvino

onnx = pytest.importorskip("onnx", reason="ONNX encoders (pip install -e '.[dev]')")

PATCH, DIM = 4, 12
WEIGHT = np.random.default_rng(0).normal(size=(DIM, 3, PATCH, PATCH)).astype(np.float32)
FLOAT = onnx.TensorProto.FLOAT


def write(
    file: Path,
    output: str = "vector",
    size: int | str = 32,
    batch: int | str = "batch",
    kind: int = FLOAT,
    external: str | None = None,
    inputs: int = 1,
    channels: int = 3,
) -> Path:
    """A convolution, and what makes of its map a vector or tokens."""
    h = onnx.helper
    nodes = [h.make_node("Conv", ["pixels", "weight"], ["map"], strides=[PATCH, PATCH])]
    outputs = ["map"]
    if output in ("vector", "image_embeds"):
        nodes += [
            h.make_node("GlobalAveragePool", ["map"], ["pooled"]),
            h.make_node("Flatten", ["pooled"], [output]),
        ]
        outputs = [output] if output == "vector" else ["map", output]
    if output == "tokens":
        nodes += [
            h.make_node("Reshape", ["map", "shape"], ["flat"]),
            h.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
        ]
        outputs = ["tokens"]
    ranks = {"map": 4, "tokens": 3}
    dtype = np.float16 if kind == onnx.TensorProto.FLOAT16 else np.float32
    weight = onnx.numpy_helper.from_array(WEIGHT[:, :channels].astype(dtype), "weight")
    shape = onnx.numpy_helper.from_array(np.array([0, DIM, -1]), "shape")
    more = [h.make_tensor_value_info(f"text{i}", FLOAT, [1]) for i in range(inputs - 1)]
    graph = h.make_graph(
        nodes,
        "graph",
        [h.make_tensor_value_info("pixels", kind, [batch, channels, size, size]), *more],
        [
            h.make_tensor_value_info(name, kind, [f"{name}{i}" for i in range(ranks.get(name, 2))])
            for name in outputs
        ],
        [weight, shape] if output == "tokens" else [weight],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    options = {"save_as_external_data": True, "location": external, "size_threshold": 0}
    onnx.save(model, file, **(options if external else {}))
    return file


def maps(pixels: np.ndarray, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> np.ndarray:
    """What the convolution gives, by PyTorch: (n, DIM, places)."""
    images = ((pixels / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    tensor = torch.tensor(images.astype(np.float32))
    return torch.nn.functional.conv2d(tensor, torch.tensor(WEIGHT), stride=PATCH).flatten(2).numpy()


@pytest.mark.parametrize(
    ("settings", "options", "size", "expected"),
    [
        ({}, "", 32, lambda m: m.mean(2)),
        ({"output": "map"}, "", 32, lambda m: m.mean(2)),
        ({"output": "image_embeds"}, "", 32, lambda m: m.mean(2)),
        ({"output": "tokens"}, "", 32, lambda m: m[:, :, 0]),
        ({"output": "tokens"}, "@cls", 32, lambda m: m[:, :, 0]),
        ({"output": "tokens"}, "@mean", 32, lambda m: m[:, :, 1:].mean(2)),
        ({"size": "side"}, "", 224, lambda m: m.mean(2)),
        ({"size": "side"}, "@64", 64, lambda m: m.mean(2)),
        ({"size": "side", "output": "tokens"}, "@mean,64", 64, lambda m: m[:, :, 1:].mean(2)),
        ({"batch": 1}, "@32", 32, lambda m: m.mean(2)),
        ({"external": "some where.bin"}, "", 32, lambda m: m.mean(2)),
    ],
)
def test_features_are_the_networks(tmp_path: Path, settings, options, size, expected) -> None:
    file = write(tmp_path / "net.onnx", **settings)
    encoder = load_encoder(f"onnx:{file}{options}")
    pixels = noise(encoder)
    ours = run_openvino(encoder, pixels)
    assert (encoder.dim, encoder.input_size) == (DIM, size)
    assert ours.dtype == np.float32
    assert relative(ours, expected(maps(pixels))) < 1e-5


def test_half_precision_networks_give_float32(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", kind=onnx.TensorProto.FLOAT16)
    encoder = load_encoder(f"onnx:{file}")
    pixels = noise(encoder)
    ours = run_openvino(encoder, pixels)
    assert ours.dtype == np.float32
    assert relative(ours, maps(pixels).mean(2)) < 1e-2


def test_preprocessing_beside_the_file_is_followed(tmp_path: Path) -> None:
    said = {
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.5, 0.6, 0.7],
        "size": {"height": 48, "width": 48},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    encoder = load_encoder(f"onnx:{write(tmp_path / 'net.onnx', size='side')}")
    pixels = noise(encoder)
    assert (encoder.input_size, encoder.squash) == (48, True)
    expected = maps(pixels, said["image_mean"], said["image_std"]).mean(2)
    assert relative(run_openvino(encoder, pixels), expected) < 1e-5


def test_name_loads_it_again_from_any_directory(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "net.onnx", output="tokens", size="side")
    monkeypatch.chdir(tmp_path)
    here = load_encoder("onnx:net.onnx@mean,64")
    monkeypatch.chdir("/")
    there = load_encoder(here.name)
    assert here.name == there.name == f"onnx:{tmp_path / 'net.onnx'}@mean,64"
    assert here.weights_hash == there.weights_hash


def test_hash_follows_weights_kept_outside_the_file(tmp_path: Path) -> None:
    name = "w" * 150  # its length takes two bytes
    file = write(tmp_path / "net.onnx", external=name)
    before = load_encoder(f"onnx:{file}").weights_hash
    data = bytearray((tmp_path / name).read_bytes())
    data[0] ^= 1
    (tmp_path / name).write_bytes(data)
    assert load_encoder(f"onnx:{file}").weights_hash != before
    assert load_encoder(f"onnx:{file}").weights_hash == load_encoder(f"onnx:{file}").weights_hash


def relocate(file: Path, location: str) -> Path:
    """Has a model of `write` look for its weights elsewhere."""
    model = onnx.load(file, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    file.write_bytes(model.SerializeToString())
    return file


@pytest.mark.parametrize(
    "location",
    [
        "{outside}",
        "../weights.bin",
        "sub/../../weights.bin",
        "./../weights.bin",
        "..\\weights.bin",
        "x:weights.bin",
        ".weights.bin",
        "*/_ORT_MEM_ADDR_/*",
        "link.bin",
        "linked/weights.bin",
        "",
    ],
)
def test_weights_outside_the_models_folder_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    file = write(folder / "net.onnx", external="weights.bin")
    outside = (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "link.bin").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    relocate(file, location.format(outside=outside))
    monkeypatch.setattr("headlight.encoders.onnx._read", lambda _: pytest.fail("was opened"))
    with pytest.raises(HeadlightError, match="must lie in its own folder") as caught:
        load_encoder(f"onnx:{file}")
    assert "\n" not in str(caught.value)


def test_weights_may_lie_deeper_in_the_folder(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", external="weights.bin")
    (tmp_path / "sub").mkdir()
    (tmp_path / "weights.bin").rename(tmp_path / "sub" / "w.bin")
    moved = load_encoder(f"onnx:{relocate(file, 'sub/w.bin')}")
    pixels = noise(moved)
    assert relative(run_openvino(moved, pixels), maps(pixels).mean(2)) < 1e-5


def holders() -> dict[str, onnx.ModelProto]:
    """Models that keep a tensor outside, by where onnx.proto lets one be."""
    h = onnx.helper
    tensor = onnx.TensorProto(data_type=FLOAT, dims=[1], data_location="EXTERNAL")
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value="../x")
    value = onnx.AttributeProto(name="value", type="TENSOR", t=tensor)
    node = onnx.NodeProto(op_type="Constant", attribute=[value])
    deep = onnx.GraphProto(node=[node])
    for _ in range(3):
        branch = onnx.AttributeProto(name="then_branch", type="GRAPH", g=deep)
        deep = onnx.GraphProto(node=[onnx.NodeProto(op_type="If", attribute=[branch])])
    sparse = onnx.SparseTensorProto(values=tensor)
    return {
        "initializer": h.make_model(onnx.GraphProto(initializer=[tensor])),
        "sparse": h.make_model(onnx.GraphProto(sparse_initializer=[sparse])),
        "constant": h.make_model(onnx.GraphProto(node=[node])),
        "branches": h.make_model(deep),
        "function": onnx.ModelProto(functions=[onnx.FunctionProto(node=[node])]),
        "training": onnx.ModelProto(
            training_info=[onnx.TrainingInfoProto(algorithm=onnx.GraphProto(initializer=[tensor]))]
        ),
    }


@pytest.mark.parametrize("holder", holders())
def test_no_place_for_a_tensor_is_overlooked(tmp_path: Path, holder: str) -> None:
    (tmp_path / "net.onnx").write_bytes(holders()[holder].SerializeToString())
    with pytest.raises(HeadlightError, match=r"'\.\./x' leads elsewhere"):
        external_files(tmp_path / "net.onnx")


@given(st.data())
def test_damaged_models_are_refused_or_parsed(tmp_path_factory, data: st.DataObject) -> None:
    whole = holders()["branches"].SerializeToString()
    cut = data.draw(st.integers(1, len(whole) - 1))
    damaged = whole[:cut] + data.draw(st.binary(max_size=20)) + whole[cut + 1 :]
    file = tmp_path_factory.getbasetemp() / "damaged.onnx"
    file.write_bytes(damaged)
    with contextlib.suppress(HeadlightError):
        assert external_files(file) == []


def test_the_engine_runs_it_on_the_cpu_only(tmp_path: Path) -> None:
    encoder = load_encoder(f"onnx:{write(tmp_path / 'net.onnx')}")
    pixels = noise(encoder, 3)
    features = np.stack(list(make_engine(encoder, "cpu").encode(iter(pixels))))
    assert relative(features, maps(pixels).mean(2)) < 3e-2  # bfloat16, where the processor has it
    with pytest.raises(HeadlightError, match="give --device cpu"):
        encoder.build()


@pytest.mark.parametrize(
    ("settings", "options", "sentence"),
    [
        ({}, "@64", "takes images of 32 pixels only"),
        ({}, "@mean", "it gives no tokens, so @mean says nothing"),
        ({"inputs": 2}, "", r"one input, of images, not 2 \(pixels, text0\)"),
        ({"channels": 1}, "", "its input must be images"),
        ({"size": "side"}, "@2", "can't be run on one image of 2 pixels"),
    ],
)
def test_networks_that_do_not_fit(tmp_path: Path, settings, options: str, sentence: str) -> None:
    file = write(tmp_path / "net.onnx", **settings)
    with pytest.raises(HeadlightError, match=sentence) as caught:
        load_encoder(f"onnx:{file}{options}")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_networks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network " * 9)
    (tmp_path / "empty.onnx").write_bytes(b"")
    odd = onnx.load(write(tmp_path / "odd.onnx"))
    odd.graph.node[0].op_type = "NoSuchOperation"
    onnx.save(odd, tmp_path / "odd.onnx")
    file = write(tmp_path / "lost.onnx", external="lost.bin")
    (tmp_path / "lost.bin").unlink()
    for name, sentence in [
        ("bad.onnx", "is damaged or no ONNX model"),
        ("odd.onnx", "OpenVINO can't read it as an ONNX model"),
        ("empty.onnx", r"must have one input, of images, not 0 \(none\)"),
        (file.name, "lost.bin is missing, and lost.onnx keeps weights in it"),
        ("absent.onnx", "no such file"),
    ]:
        with pytest.raises(HeadlightError, match=sentence) as caught:
            load_encoder(f"onnx:{tmp_path / name}")
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    assert capfd.readouterr() == ("", "")
