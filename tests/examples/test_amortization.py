"""The example's claims, on a smaller setting; that all of it runs is tested in test_api.py."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "examples" / "amortization.py"
IMAGES, REDRAWS = 1000, 20
SAMPLING = 4 * math.sqrt(0.25 / (IMAGES * REDRAWS))  # four standard errors of a measured error


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("amortization", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["amortization"] = module  # dataclasses look themselves up here
    spec.loader.exec_module(module)
    yield module
    del sys.modules["amortization"]


@pytest.fixture(scope="module")
def found(example):
    settings = (
        example.Setting("function"),
        example.Setting("some noise", noise=0.3),
        example.Setting("much noise", noise=1.0),
        example.Setting("blind", seen=3),
    )
    return example.measure(settings, (0, 8, 64), steps=500, images=IMAGES, draws=100)


def test_error_shrinks_with_width_where_the_text_is_a_function_of_the_features(found):
    linear, narrow, wide = (found[w][0] for w in ("0", "8", "64"))
    assert (linear > narrow + 0.02).all()
    assert (narrow > wide + 0.01).all()
    assert wide.mean() < 0.08 < 0.3 < linear.mean()
    assert (found["high"][0] == 0).all()


def test_no_head_without_text_is_better_than_the_floor(found):
    for width in ("0", "8", "64"):
        assert (found[width] > found["low"] - SAMPLING).all()


def test_the_head_that_reads_is_better_than_a_floor_above_zero(found):
    assert (found["reads"] < 0.06).all()
    assert (found["reads"][1:] < found["low"][1:] - SAMPLING).all()


def test_a_wide_head_comes_to_the_floor_and_noise_raises_it(found):
    above = found["64"] - found["high"]
    assert (above[1:].mean(axis=1) < 0.04).all()
    assert (found["low"][1] > found["high"][0] + 0.05).all()
    assert (found["low"][2] > found["high"][1] + 0.05).all()


def test_what_the_encoder_loses_no_width_brings_back(found):
    assert (found["low"][3] > 0.05).all()
    assert (found["64"][3] > found["64"][0] + 0.05).all()


def test_floor_equals_a_known_probability(example):
    """The text is √2 + √2 ε and the label its sign: the best rule errs with probability Φ(−1)."""
    worlds = example.make_worlds((example.Setting("known", noise=2**0.5),), 1, seed=0)
    for weights in (worlds.captioner, worlds.phase, worlds.from_features, worlds.from_text):
        weights.zero_()
    worlds.from_text[0, 0, :2] = torch.tensor([-1.0, 1.0])
    low, high = example.floor(worlds, worlds.images(IMAGES), draws=50)
    expected = 0.5 * (1 + math.erf(-1 / 2**0.5))
    assert low.item() == pytest.approx(expected, abs=0.005)
    assert high.item() == pytest.approx(expected, abs=0.005)


def test_floor_is_the_share_of_all_but_the_largest_class_where_nothing_is_seen(example):
    worlds = example.make_worlds((example.Setting("blind", seen=0),), 3, seed=0)
    x = worlds.images(IMAGES)
    shares = torch.stack([torch.bincount(y, minlength=5) for y in worlds.relabel(x)]) / IMAGES
    low, high = example.floor(worlds, x, draws=50)
    assert torch.allclose(1 - shares.amax(1), (low + high) / 2, atol=0.06)


def test_real_digits_show_capacity_little_data_and_a_blind_encoder(example):
    reads, linear, hidden = example.measure_digits(1200, 64, seed=0)
    assert reads < hidden < linear
    assert hidden < example.measure_digits(300, 64, seed=0)[2]
    blind_reads, _, blind = example.measure_digits(1200, 2, seed=0)
    assert blind_reads < 0.05
    assert blind > hidden + 0.05


def test_same_seed_same_numbers(example):
    small = {"worlds": 1, "steps": 20, "images": 50, "draws": 2}
    first, again = (example.measure(widths=(4,), **small) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
