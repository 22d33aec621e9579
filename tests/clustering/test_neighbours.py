"""Neighbours where thousands of rows are equal: an inverted file finds too few in its lists."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headlight.clustering import SCP
from headlight.clustering.neighbours import nearest_neighbours


def with_equal_rows(share: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    base = rng.normal(size=64)
    X = np.repeat(base[None], 12_000, 0)
    other = int(12_000 * (1 - share))
    X[:other] = base + rng.normal(size=(other, 64))
    rng.shuffle(X)
    return X.astype(np.float32)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_every_row_has_all_its_neighbours_where_many_rows_are_equal(share: float) -> None:
    points = torch.nn.functional.normalize(torch.from_numpy(with_equal_rows(share)), dim=1)
    indices, similarities = nearest_neighbours(points, 15)
    assert indices.min() >= 0
    assert (indices != torch.arange(len(points))[:, None]).all()
    assert all(len(set(row)) == 15 for row in indices[::100].tolist())
    actual = (points[:, None] * points[indices]).sum(dim=2)
    torch.testing.assert_close(similarities, actual.clamp(-1, 1), atol=1e-5, rtol=0)


def test_a_fit_of_many_equal_rows_ends() -> None:
    X = with_equal_rows(0.9)
    scp = SCP(5, random_state=0).fit(X)
    np.testing.assert_array_equal(scp.predict(X), scp.labels_)
