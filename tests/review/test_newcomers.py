from __future__ import annotations

import numpy as np
import pytest

from headlight.review.newcomers import Known, Newcomers, place_newcomers
from headlight.runs.projected import unit


def rows(kind: int, n: int, seed: int) -> np.ndarray:
    centre = 4 * np.random.default_rng(1000 + kind).normal(size=40)
    return (5 + centre + 2 * np.random.default_rng(seed).normal(size=(n, 40))).astype(np.float16)


OLD = np.concatenate([rows(0, 80, 0), rows(1, 80, 1)])
GROUPS = np.array([7, 3], np.int32)  # of the columns


def known(outliers: tuple[int, ...] = ()) -> Known:
    labels = np.repeat(np.array([3, 7], np.int32), 80)
    marked = np.zeros(160, bool)
    marked[list(outliers)] = True
    nowhere = np.full((160, 2), np.nan, np.float32)
    return Known(OLD, directions(OLD), labels, labels, marked, nowhere)


def directions(some: np.ndarray) -> np.ndarray:
    return unit(some - 5).astype(np.float16)


def placed(now: Known, new: np.ndarray, said: float = 0.02, **more: object) -> Newcomers:
    """Where new rows go if the model gives them all group 7 with a probability of `said`."""
    probabilities = np.tile(np.array([said, 1 - said], np.float32), (len(new), 1))
    return place_newcomers(
        now, new, directions(new), probabilities=probabilities, groups=GROUPS, **more
    )


def test_an_image_unlike_any_joins_as_the_least_certain_however_sure_the_head_is():
    found = placed(known(), np.concatenate([rows(9, 1, 2), rows(0, 30, 3)]))
    assert (found.columns["cluster"] == 3).all()
    confidence = found.columns["confidence"]
    assert confidence[0] == found.columns["margin"][0] == 0
    assert 1 <= found.unlike == (confidence == 0).sum() <= 4
    assert (np.median(confidence), found.numbered(8)) == (np.float32(0.99), [])


def test_neighbours_count_as_much_as_the_model():
    found = placed(known(), rows(1, 5, 2), said=0.3)
    assert (found.columns["cluster"] == 7).all()  # 0.3 and 1, against 0.7 and 0
    assert found.columns["confidence"] == pytest.approx(0.65, abs=0.01)


def test_many_new_images_are_clustered_with_the_old_ones():
    asked = []

    def clustering(old: np.ndarray, new: np.ndarray, k: int) -> np.ndarray:
        asked.append((len(old), new.tolist(), k))
        return np.concatenate([(old >= 80).astype(int), np.ones(len(new), int)])

    few = placed(known((0, 1)), rows(0, 7, 2), clustering=clustering)
    assert (few.columns["cluster"] == 3).all() and not asked
    many = placed(known((0, 1)), rows(0, 8, 2), clustering=clustering)
    assert asked == [(158, list(range(8)), 2)]
    assert (many.columns["cluster"] == 7).all()
    assert (many.columns["confidence"] < 0.1).all() and (many.columns["margin"] == 0).all()
    assert (many.columns["second"] == 3).all()
