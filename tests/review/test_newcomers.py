from __future__ import annotations

import numpy as np

from headlight.review.newcomers import Known, place_newcomers
from headlight.runs.projected import unit


def rows(kind: int, n: int, seed: int) -> np.ndarray:
    centre = 4 * np.random.default_rng(1000 + kind).normal(size=40)
    return (5 + centre + 2 * np.random.default_rng(seed).normal(size=(n, 40))).astype(np.float16)


def test_an_image_unlike_any_joins_as_the_least_certain_however_sure_the_head_is():
    old = np.concatenate([rows(0, 80, 0), rows(1, 80, 1)])
    labels = np.repeat(np.array([3, 7], np.int32), 80)
    known = Known(
        old,
        unit(old - 5).astype(np.float16),
        labels,
        np.zeros(160, bool),
        np.full((160, 2), np.nan, np.float32),
    )
    new = np.concatenate([rows(9, 1, 2), rows(0, 30, 3)])
    sure = np.tile(np.array([0.99, 0.01], np.float32), (31, 1))
    found = place_newcomers(
        known, new, unit(new - 5).astype(np.float16), sure, np.array([3, 7], np.int32)
    )
    assert (found.columns["cluster"] == 3).all()
    confidence = found.columns["confidence"]
    assert confidence[0] == found.columns["margin"][0] == 0
    assert 1 <= found.unlike == (confidence == 0).sum() <= 4
    assert (np.median(confidence), found.numbered(8)) == (np.float32(0.99), [])
