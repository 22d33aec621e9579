from __future__ import annotations

import colorsys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headlight.images import augment
from headlight.images.augmentation import _jitter, _random_crop
from tests.conftest import draw

PICTURE = draw("disc", 0)


def test_view_depends_on_image_and_view_alone() -> None:
    jobs = [(image_id, view) for image_id in (5, -7, 2**62) for view in (1, 2)]
    inorder = [np.asarray(augment(PICTURE, 32, *job)) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        mixed = list(pool.map(lambda job: np.asarray(augment(PICTURE, 32, *job)), jobs[::-1]))
    for one, other in zip(inorder, mixed[::-1], strict=True):
        assert (one == other).all()
    assert len({view.tobytes() for view in inorder}) == len(jobs)


def test_views_of_an_image_differ_in_framing_and_colour() -> None:
    views = [np.asarray(augment(PICTURE, 64, 1, v), float) for v in range(1, 60)]
    plain = np.asarray(PICTURE.resize((64, 64)), float)
    brightness = [v.mean() / plain.mean() for v in views]
    assert min(brightness) < 0.85
    assert max(brightness) > 1.02  # white can't get much whiter
    # Half are mirrored: a picture dark on the left becomes dark on the right.
    side = Image.new("RGB", (64, 64), "white")
    side.paste("black", (0, 0, 32, 64))
    gap = [
        np.asarray(augment(side, 32, i, 1), float)[:, :8].mean()
        > np.asarray(augment(side, 32, i, 1), float)[:, -8:].mean()
        for i in range(200)
    ]
    assert 40 < sum(gap) < 160


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 2**32))
def test_crops_lie_inside_the_image(width: int, height: int, seed: int) -> None:
    x0, y0, x1, y1 = _random_crop(width, height, np.random.default_rng(seed))
    assert 0 <= x0 < x1 <= width + 1e-6
    assert 0 <= y0 < y1 <= height + 1e-6


@given(st.integers(1, 300), st.integers(1, 300), st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=40, deadline=None)
def test_any_image_gives_a_view(width: int, height: int, image_id: int) -> None:
    view = augment(Image.new("RGB", (width, height), "teal"), 48, image_id, 1)
    assert view.size == (48, 48)
    assert view.mode == "RGB"


def test_jitter_leaves_grey_grey_and_turns_hue() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        grey = Image.new("RGB", (4, 4), (128, 128, 128))
        matrix = np.reshape(_jitter(grey, rng), (3, 4))
        out = matrix[:, :3] @ [128.0, 128, 128] + matrix[:, 3]
        assert np.ptp(out) < 1e-6
    hues = []
    for seed in range(40):
        red = Image.new("RGB", (4, 4), (200, 60, 60))
        pixel = red.convert("RGB", _jitter(red, np.random.default_rng(seed))).getpixel((0, 0))
        hues.append((colorsys.rgb_to_hsv(*(c / 255 for c in pixel))[0] + 0.5) % 1)
    assert 0.05 < max(hues) - min(hues) < 0.35
