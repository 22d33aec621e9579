"""Nearest neighbours: those there are; also where thousands of rows are equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headlight.clustering import SCP
from headlight.clustering.neighbours import EXACT, NeighbourIndex, nearest_neighbours


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


@pytest.mark.parametrize("n", [2, 500, EXACT + 2_000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_neighbours_are_the_nearest_exact_or_nearly_all(n: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(40, 32, generator=generator)
    rows = centres[torch.arange(n) % 40] + 0.4 * torch.randn(n, 32, generator=generator)
    points = torch.nn.functional.normalize(rows, dim=1).to(dtype)
    indices, similarities = nearest_neighbours(points, 10)
    asked = torch.arange(0, n, max(1, n // 200))
    cosines = points[asked].float() @ points.float().T
    cosines[torch.arange(len(asked)), asked] = -torch.inf
    best = cosines.topk(min(10, n - 1), dim=1)
    assert indices.shape == (n, min(10, n - 1))
    found = (indices[asked, :, None] == best.indices[:, None]).any(dim=2).float().mean()
    assert found == 1 if n <= EXACT else found > 0.9
    torch.testing.assert_close(similarities[asked], cosines.gather(1, indices[asked]).clamp(-1, 1))


def test_neighbours_of_other_rows_are_found_among_those_of_the_index() -> None:
    rows = torch.nn.functional.normalize(torch.randn(300, 16), dim=1)
    near, found = NeighbourIndex(rows[:200]).search(rows[200:], 5)
    best = (rows[200:] @ rows[:200].T).topk(5, dim=1)
    np.testing.assert_array_equal(found, best.indices)
    np.testing.assert_allclose(near, best.values, atol=1e-5)
