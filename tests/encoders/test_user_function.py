from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from headlight.encoders import load_encoder
from headlight.encoders.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from headlight.errors import HeadlightError
from tests.encoders.checkpoints import noise, relative, run_openvino, run_torch

SOURCE = '''
import torch
from headlight.encoders import load_encoder

class Small(torch.nn.Module):
    """Convolution, mean, and dropout, which must be off."""

    def __init__(self, seed=0, **attributes):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.nn.Parameter(torch.randn(6, 3, 4, 4, generator=generator))
        self.dropout = torch.nn.Dropout(0.5)
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, images):
        maps = torch.nn.functional.conv2d(images, self.weight, stride=4)
        return self.dropout(maps.mean((2, 3)))

class Wrong(Small):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, images):
        return self.change(super().forward(images))

def small(): return Small()
def other_seed(): return Small(1)
def sized(): return Small(input_size=48)
def lite(): return load_encoder("lite0")
def half(): return Small().half()

def raises(): raise ValueError("two\\nlines")
def leaves(): raise SystemExit(3)
def number(): return 7
def maps(): return Wrong(lambda x: x[..., None])
def one_row(): return Wrong(lambda x: x[:1])
def not_finite(): return Wrong(lambda x: x / 0)
def pair(): return Wrong(lambda x: (x, x))
def no_side(): return Small(input_size="big")
def needs_it(argument): return Small()
value = 3
'''


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the current directory, which is not on Python's path."""
    name = f"mine_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / "broken_module.py").write_text("import no_such_module_at_all")
    (tmp_path / "wrong_syntax.py").write_text("def")
    monkeypatch.chdir(tmp_path)
    return name


def weight(seed: int = 0) -> torch.Tensor:
    return torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("spec", "size"), [("small", 224), ("small@96", 96), ("sized", 48), ("sized@32", 32)]
)
def test_module_gets_normalised_images_of_its_size(mine: str, spec: str, size: int) -> None:
    encoder = load_encoder(f"torch:{mine}:{spec}")
    pixels = noise(encoder)
    images = (pixels / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    maps = torch.nn.functional.conv2d(
        torch.tensor(images.transpose(0, 3, 1, 2)).float(), weight(), stride=4
    )
    ours = run_torch(encoder, pixels)
    assert (encoder.name, encoder.dim, encoder.input_size) == (f"torch:{mine}:{spec}", 6, size)
    assert relative(ours, maps.mean((2, 3)).numpy()) < 1e-5
    assert relative(run_openvino(encoder, pixels), ours) < 1e-3


def test_an_engine_may_move_what_it_builds(mine: str) -> None:
    encoder = load_encoder(f"torch:{mine}:small")
    encoder.build().to(torch.float64)
    assert {w.dtype for w in encoder.build().parameters()} == {torch.float32}


def test_hash_follows_the_weights_and_the_size(mine: str) -> None:
    specs = ("small", "small", "other_seed", "small@96")
    hashes = [load_encoder(f"torch:{mine}:{spec}").weights_hash for spec in specs]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_an_encoder_is_taken_as_it_is_under_the_name_that_made_it(mine: str) -> None:
    lite0, made = load_encoder("lite0"), load_encoder(f"torch:{mine}:lite")
    assert made.name == f"torch:{mine}:lite"
    assert (made.dim, made.weights_hash) == (lite0.dim, lite0.weights_hash)
    with pytest.raises(HeadlightError, match="no option @96"):
        load_encoder(f"torch:{mine}:lite@96")


def test_search_path_is_left_as_it_was(mine: str) -> None:
    before = list(sys.path)
    load_encoder(f"torch:{mine}:small")
    assert sys.path == before


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("raises", "raised ValueError: two lines"),
        ("leaves", "raised SystemExit: 3"),
        ("number", "must return a headlight Encoder or a torch.nn.Module, not int"),
        ("maps", r"of 2 images it gives shape \(2, 6, 1\), not \(2, dim\)"),
        ("one_row", r"of 2 images it gives shape \(1, 6\)"),
        ("not_finite", "its features are not finite numbers"),
        ("pair", "it gives tuple, not a tensor"),
        ("half", r"fed \(2, 3, 224, 224\) float32 it raised RuntimeError"),
        ("no_side", "its input_size is 'big'"),
        ("needs_it", "raised TypeError"),
        ("value", "has no function value"),
        ("absent", "has no function absent"),
        ("small@mean", "no option @mean"),
    ],
)
def test_mistakes_in_a_module_get_one_sentence(mine: str, function: str, sentence: str) -> None:
    with pytest.raises(HeadlightError, match=sentence) as caught:
        load_encoder(f"torch:{mine}:{function}")
    assert "\n" not in str(caught.value)
    assert mine in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ("no_such_module:f", "no module 'no_such_module' in "),
        ("no_such.inner:f", "no module 'no_such' in "),
        ("broken_module:f", "importing it raised ModuleNotFoundError: No module named 'no_such_mo"),
        ("wrong_syntax:f", "importing it raised SyntaxError"),
        ("only_a_module", "give torch:module:function"),
        (":f", "give torch:module:function"),
    ],
)
def test_modules_that_can_not_be_imported(rest: str, sentence: str) -> None:
    with pytest.raises(HeadlightError, match=sentence):
        load_encoder(f"torch:{rest}")
