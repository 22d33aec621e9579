"""Engines: they agree, keep order, don't mix images, and say what they can't do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headlight.encoders import Encoder, load_encoder
from headlight.encoders.offline_openvino import ov
from headlight.engines import conversion, conversion_cache, cpu_count, make_engine, probe
from headlight.engines.base import Engine, Unsupported
from headlight.engines.batching import Batches, largest_batch
from headlight.engines.devices import DevicesEngine
from headlight.engines.openvino import OpenVINOEngine
from headlight.engines.probe import probe_images, relative_error
from headlight.engines.torch import TorchEngine
from headlight.errors import HeadlightError

SIZE = 32
COARSE = 3e-2  # relative error of bfloat16, where OpenVINO chose it
IMAGES = np.random.default_rng(1).integers(0, 256, (11, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of converted models, for each test its own."""
    monkeypatch.setattr(conversion_cache, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache" / "openvino"


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A tiny transformer, saved and loaded as any checkpoint is."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers (pip install 'headlight-images[hub]')"
    )
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=8, image_size=SIZE
    )
    folder = tmp_path_factory.mktemp("vit")
    transformers.Dinov2Model(config).save_pretrained(folder)
    return load_encoder(f"hf:{folder}@{SIZE}")


class Affine(torch.nn.Module):
    """Mean colour, through a matrix: the smallest network that is one."""

    def __init__(self, columns: int = 4) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(3, columns, generator=generator))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels.float().mean((1, 2)) / 255) @ self.weight


def encoder_of(network: torch.nn.Module, **changes) -> Encoder:
    made = Encoder("handmade", 4, SIZE, "0" * 64, network.eval, "made by a test")
    return replace(made, **changes)


def encode(engine: Engine, images=IMAGES) -> np.ndarray:
    return np.stack(list(engine.encode(iter(images))))


def counting(encoder: Encoder) -> tuple[Encoder, list[int]]:
    """The encoder, and how often its network was built."""
    builds: list[int] = []
    return replace(encoder, build=lambda: builds.append(1) or encoder.build()), builds


@pytest.fixture(scope="module")
def lite0() -> Encoder:
    return load_encoder("lite0@32")


@pytest.fixture(scope="module", params=["lite0", "vit"])
def small(request: pytest.FixtureRequest) -> Encoder:
    """A network of convolutions, and one of attention."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def engines(small: Encoder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    """OpenVINO's engine, its second start, and PyTorch's; and how often a network was built."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion_cache, "user_cache_path", lambda _: folder)
        encoder, builds = counting(small)
        first = OpenVINOEngine(encoder)
        assert len(builds) == 1
        again = OpenVINOEngine(encoder)
        assert len(builds) == 1, "the second start built the network"
    return {"openvino": first, "again": again, "torch": TorchEngine(small, "cpu")}


@pytest.fixture(params=["openvino", "torch"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]


def test_features_do_not_depend_on_neighbours_or_place_to_the_last_bit(engine: Engine) -> None:
    forward, backward = encode(engine), encode(engine, IMAGES[::-1])[::-1]
    assert forward.dtype == np.float32
    np.testing.assert_array_equal(forward, backward)
    np.testing.assert_array_equal(forward[5], encode(engine, IMAGES[5:6])[0])


def test_no_images_give_no_features(engine: Engine) -> None:
    assert list(engine.encode(iter([]))) == []


def test_engine_reads_only_a_little_ahead(engine: Engine) -> None:
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield IMAGES[0]

    next(engine.encode(endless()))
    assert read <= max(16, 3 * cpu_count())


def test_openvino_and_pytorch_agree(engines: dict[str, Engine]) -> None:
    precision = engines["openvino"].name.removeprefix("openvino-")
    error = relative_error(encode(engines["openvino"]), encode(engines["torch"]))
    assert error < (COARSE if precision == "bf16" else probe.TOLERANCE)


def test_second_start_builds_nothing_and_gives_the_same_bits(engines: dict[str, Engine]) -> None:
    np.testing.assert_array_equal(encode(engines["again"]), encode(engines["openvino"]))


@pytest.mark.parametrize(
    "change",
    [{"weights_hash": "1" * 64}, {"name": "another"}, {"input_size": 64}, {"cpu": "another"}],
    ids=lambda change: next(iter(change)),
)
def test_another_encoder_or_processor_converts_again(change, monkeypatch) -> None:
    encoder, builds = counting(encoder_of(Affine()))
    OpenVINOEngine(encoder)
    if "cpu" in change:
        monkeypatch.setattr(conversion_cache, "processor", lambda _: "another")
    else:
        encoder = replace(encoder, **change)
    OpenVINOEngine(encoder)
    assert len(builds) == 2


def test_code_of_the_user_is_never_taken_from_the_cache() -> None:
    """Whoever edits a `forward` keeps name and weights, and must not get the old features."""

    class Edited(Affine):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels) + 1

    before = encode(OpenVINOEngine(encoder_of(Affine(), name="torch:mine:encoder")))
    after = encode(OpenVINOEngine(encoder_of(Edited(), name="torch:mine:encoder")))
    np.testing.assert_allclose(after, before + 1, atol=2e-2)


def test_damaged_model_in_the_cache_is_made_again(cache: Path) -> None:
    encoder, builds = counting(encoder_of(Affine()))
    first = encode(OpenVINOEngine(encoder))
    next(cache.glob("*/model.xml")).write_text("<net>")
    np.testing.assert_array_equal(encode(OpenVINOEngine(encoder)), first)
    assert len(builds) == 2
    OpenVINOEngine(encoder)
    assert len(builds) == 2


def test_a_cache_that_can_not_be_written_costs_nothing_but_time(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(conversion_cache, "user_cache_path", lambda _: tmp_path / "file")
    encoder = encoder_of(Affine())
    expected = encode(TorchEngine(encoder, "cpu"))
    assert relative_error(encode(OpenVINOEngine(encoder)), expected) < COARSE


def test_models_unused_for_two_months_are_dropped(cache: Path) -> None:
    OpenVINOEngine(encoder_of(Affine(), name="old"))
    OpenVINOEngine(encoder_of(Affine(), name="recent"))
    long_ago = time.time() - conversion_cache.UNUSED_SECONDS - 1
    os.utime(next(cache.glob("old-*/verdict.json")), (long_ago, long_ago))
    OpenVINOEngine(encoder_of(Affine(), name="new"))
    assert sorted(path.name.split("-")[0] for path in cache.iterdir()) == ["new", "recent"]


class Branching(Affine):
    """Decides in Python by what it sees: a trace keeps one of the two ways only."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = super().forward(pixels)
        return features if pixels.sum() == 0 else -features


class Strange(Affine):
    """Has a step OpenVINO doesn't know."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = super().forward(pixels)
        return features * torch.linalg.eigvalsh(self.weight.T @ self.weight)


@pytest.mark.parametrize(
    ("network", "why"),
    [(Branching(), "differ from PyTorch's by 2 of"), (Strange(), "aten::linalg_eigvalsh")],
    ids=["branching", "strange"],
)
def test_what_openvino_gets_wrong_runs_in_pytorch_and_one_warning_says_so(network, why) -> None:
    encoder = encoder_of(network)
    with pytest.warns(UserWarning, match=f"handmade runs in PyTorch.*{why}") as seen:
        engine = make_engine(encoder, "cpu")
    assert len([one for one in seen if one.category is UserWarning]) == 1, [str(x) for x in seen]
    np.testing.assert_array_equal(encode(engine), encode(TorchEngine(encoder, "cpu")))


def test_a_wrong_conversion_is_remembered(cache: Path) -> None:
    encoder, builds = counting(encoder_of(Branching()))
    for _ in range(2):
        with pytest.raises(Unsupported, match="differ from PyTorch's"):
            OpenVINOEngine(encoder)
    assert len(builds) == 1
    assert not list(cache.glob("*/model.*"))


def test_bfloat16_that_is_too_coarse_gives_way_to_float32(monkeypatch) -> None:
    """On a processor without bfloat16, OpenVINO computes in float32 whatever it is asked for."""
    # Mean colours lie as near to one another as bfloat16 rounds.
    monkeypatch.setattr(probe, "LEAST_NEIGHBOURS", 0.0)
    monkeypatch.setattr(conversion, "_precisions", lambda _: ("bf16", "f32"))
    monkeypatch.setattr(conversion, "fastest", lambda compiled, _: next(iter(compiled)))
    asked = []
    real = conversion._compile
    monkeypatch.setattr(
        conversion, "_compile", lambda *given: asked.append(given[2]) or real(*given)
    )
    assert OpenVINOEngine(encoder_of(Affine())).name == "openvino-bf16"
    monkeypatch.setattr(probe, "LEAST_COSINE", 1.1)
    for _ in range(2):  # the second time by the verdict on disk
        assert OpenVINOEngine(encoder_of(Affine(), name="fine")).name == "openvino-f32"
    assert asked == ["bf16", "f32", "bf16", "f32", "f32"]


def test_bfloat16_is_taken_only_where_it_is_faster(monkeypatch) -> None:
    images = np.zeros((4, SIZE, SIZE, 3), np.uint8)
    took = {"bf16": 2.0, "f32": 1.0}
    now = 0.0

    def encoded(model, _):
        nonlocal now
        now += took[model]
        yield from images

    monkeypatch.setattr(conversion, "encoded", encoded)
    monkeypatch.setattr(conversion.time, "perf_counter", lambda: now)
    models = {"bf16": "bf16", "f32": "f32"}
    assert conversion.fastest(models, images) == "f32"
    took["bf16"] = 0.95  # as fast, so the exact one
    assert conversion.fastest(models, images) == "f32"
    took["bf16"] = 0.5
    assert conversion.fastest(models, images) == "bf16"
    assert conversion.fastest({"bf16": "bf16"}, images) == "bf16"


def model_of(network: torch.nn.Module) -> ov.Model:
    return ov.convert_model(network.eval(), example_input=torch.zeros(1, SIZE, SIZE, 3).byte())


def never_built() -> torch.nn.Module:
    raise AssertionError("an encoder that is no PyTorch module has nothing to build")


def test_an_encoder_that_is_no_pytorch_module_runs_without_one() -> None:
    encoder = encoder_of(Affine(), build=never_built, convert=lambda: model_of(Affine()))
    engine = make_engine(encoder, "cpu")
    assert engine.name.startswith("openvino")
    expected = encode(TorchEngine(encoder_of(Affine()), "cpu"))
    assert relative_error(encode(engine), expected) < COARSE


def test_an_encoder_that_is_no_pytorch_module_must_give_finite_values() -> None:
    class Divides(Affine):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels) / (pixels.float().std((1, 2, 3)) * 0)[:, None]

    encoder = encoder_of(Affine(), build=never_built, convert=lambda: model_of(Divides()))
    with pytest.raises(HeadlightError, match="handmade can't be used: .*not finite"):
        make_engine(encoder, "cpu")


def test_probe_images_are_fixed_and_differ() -> None:
    images = probe_images(SIZE)
    assert images.shape == (probe.CROPS, SIZE, SIZE, 3)
    np.testing.assert_array_equal(images, probe_images(SIZE))
    assert len(np.unique(images.reshape(probe.CROPS, -1), axis=0)) == probe.CROPS


def test_coarse_arithmetic_is_judged_by_directions_and_neighbours() -> None:
    """A common offset, however large, hides nothing; shuffled neighbours are seen."""
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(32, 64)).astype(np.float32)
    near = expected + 0.02 * rng.normal(size=expected.shape).astype(np.float32)
    assert probe.fault(near, expected, "bf16") is None
    assert "f32" in (probe.fault(near, expected, "f32") or "")
    far = expected + 0.5 * rng.normal(size=expected.shape).astype(np.float32)
    assert "cosine" in (probe.fault(far, expected, "bf16") or "")
    assert "cosine" in (probe.fault(far + 100, expected + 100, "bf16") or "")
    assert "cosine" in (probe.fault(expected[::-1], expected, "bf16") or "")


def test_a_precision_that_is_asked_for_is_used_or_refused(monkeypatch) -> None:
    encoder, builds = counting(encoder_of(Affine()))
    # Mean colours lie as near to one another as bfloat16 rounds.
    monkeypatch.setattr(probe, "LEAST_NEIGHBOURS", 0.0)
    monkeypatch.setattr(conversion, "_precisions", lambda _: ("bf16", "f32"))
    monkeypatch.setattr(conversion, "fastest", lambda compiled, _: next(iter(compiled)))
    for _ in range(2):  # the second time by the verdicts on disk
        assert make_engine(encoder, "cpu", "f32").name == "openvino-f32"
        assert make_engine(encoder, "cpu").name == "openvino-bf16"
    assert len(builds) == 2
    monkeypatch.setattr(conversion, "_precisions", lambda _: ("f32",))
    with pytest.raises(HeadlightError, match="--precision bf16: this processor"):
        make_engine(encoder, "cpu", "bf16")
    with pytest.raises(HeadlightError, match="--precision int4: give auto"):
        make_engine(encoder, "cpu", "int4")


# Devices


def test_device_names(monkeypatch) -> None:
    encoder = encoder_of(Affine())
    started = []
    monkeypatch.setattr("headlight.devices.gpu_count", lambda: 3)
    monkeypatch.setattr(
        "headlight.engines.devices.DevicesEngine", lambda _, devices: started.append(devices)
    )
    monkeypatch.setattr(
        "headlight.engines.torch.TorchEngine", lambda _, device, **how: started.append(device)
    )
    for device in ("auto", "cuda", "cuda:1"):
        make_engine(encoder, device)
    assert started == [["cuda:0", "cuda:1", "cuda:2"]] * 2 + ["cuda:1"]
    assert make_engine(encoder, "cpu").name.startswith("openvino")
    other = replace(encoder, convert=lambda: model_of(Affine()))
    assert make_engine(other, "auto").name.startswith("openvino")
    for device, sentence in (
        ("cuda:3", "this machine has cuda:0 to cuda:2"),
        ("cuda:", "unknown device"),
        ("tpu", "unknown device"),
    ):
        with pytest.raises(HeadlightError, match=sentence):
            make_engine(encoder, device)
    with pytest.raises(HeadlightError, match="runs on the CPU only"):
        make_engine(other, "cuda")
    monkeypatch.setattr("headlight.devices.gpu_count", lambda: 0)
    with pytest.raises(HeadlightError, match="no GPU"):
        make_engine(encoder, "cuda")


# Memory


class Hungry(Affine):
    """Has memory for few images only, and for fewer after a while."""

    def __init__(self, *limits: int) -> None:
        super().__init__()
        self.limits = list(limits)
        self.batches: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        limit = self.limits.pop(0) if len(self.limits) > 1 else self.limits[0]
        if len(pixels) > limit:
            raise torch.OutOfMemoryError("no memory")
        self.batches.append(len(pixels))
        return super().forward(pixels)


@pytest.mark.parametrize("limits", [[2], [99, 99, 2], [99, 3, 99, 1]], ids=str)
def test_out_of_memory_halves_the_batch_and_loses_no_image(limits: list[int]) -> None:
    hungry = Hungry(*limits)
    engine = TorchEngine(encoder_of(hungry), "cpu", batch_size=4)
    found = encode(engine)
    expected = encode(TorchEngine(encoder_of(Affine()), "cpu", batch_size=4))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert hungry.batches == sorted(hungry.batches, reverse=True)
    assert engine.batch_size == hungry.batches[-1] < 4


def test_one_image_too_many_for_memory_is_said() -> None:
    engine = TorchEngine(encoder_of(Hungry(0)), "cpu", batch_size=4)
    with pytest.raises(HeadlightError, match="too little free memory for one image"):
        list(engine.encode(IMAGES))


@pytest.mark.parametrize(
    ("room", "size"), [(10_000, 512), (512, 512), (511, 256), (32, 32), (31, 16), (1, 1)]
)
def test_the_batch_is_the_largest_power_of_two_with_room(room: int, size: int) -> None:
    tried = []
    assert largest_batch(lambda n: tried.append(n) or n <= room) == size
    assert max(tried) <= 512
    assert len(tried) == len(set(tried))


def test_no_room_for_one_image_is_said() -> None:
    with pytest.raises(HeadlightError, match="too little free memory"):
        largest_batch(lambda _: False)


def test_a_batch_put_back_comes_again_in_order_in_smaller_ones() -> None:
    batches = Batches(range(10), 4)
    assert batches.take() == [0, 1, 2, 3]
    batches.put_back(batches.take())
    batches.size = 3
    assert [batches.take() for _ in range(4)] == [[4, 5, 6], [7, 8, 9], [], []]


class Cancelling(Affine):
    """Takes the difference of large numbers, of which bfloat16 keeps nothing."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (super().forward(pixels)[:, None] + 1000) @ torch.eye(4) - 1000


@pytest.mark.parametrize(("network", "chosen"), [(Affine(), "bf16"), (Cancelling(), "f32")])
def test_bfloat16_is_used_where_features_bear_it(network, chosen: str) -> None:
    """What is asked of a GPU's engine, on the CPU, which has both kinds of arithmetic too."""
    assert TorchEngine(encoder_of(network), "cpu")._chosen_precision() == chosen


def test_bfloat16_features_are_close(vit: Encoder) -> None:
    coarse = TorchEngine(vit, "cpu", precision="bf16")
    assert coarse.name == "torch-bf16"
    error = relative_error(encode(coarse), encode(TorchEngine(vit, "cpu")))
    assert 1e-5 < error < COARSE


# Several devices


@pytest.fixture
def in_time() -> Iterator[None]:
    """Fails a test that hangs."""

    def late(*_) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_two_devices_give_what_one_gives_in_order(small: Encoder, in_time) -> None:
    engine = DevicesEngine(small, ["cpu", "cpu"], batch_size=2)
    images = np.random.default_rng(2).integers(0, 256, (45, SIZE, SIZE, 3), np.uint8)
    assert engine.name == "torch-f32"
    expected = encode(TorchEngine(small, "cpu", batch_size=2), images)
    np.testing.assert_array_equal(encode(engine, images), expected)

    # A stream left early leaves nothing behind for the next.
    stream = engine.encode(iter(images))
    next(stream)
    stream.close()
    np.testing.assert_array_equal(encode(engine, images[20:]), expected[20:])

    # What goes wrong on a device is raised where the features are wanted.
    with pytest.raises(ValueError, match="shape"):
        list(engine.encode(iter([*images, images[0, :5]])))
    np.testing.assert_array_equal(encode(engine, images), expected)


# With a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="GPU (none here)")
@pytest.mark.parametrize("precision", ["f32", "bf16", None])
def test_a_gpu_gives_the_features_of_the_cpu(small: Encoder, precision: str | None) -> None:
    engine = TorchEngine(small, "cuda:0", precision=precision)
    many = np.concatenate([IMAGES] * 99)
    found, expected = encode(engine, many), encode(TorchEngine(small, "cpu"))
    assert relative_error(found[: len(IMAGES)], expected) < COARSE
    np.testing.assert_array_equal(found, np.concatenate([found[: len(IMAGES)]] * 99))
