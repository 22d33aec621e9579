from __future__ import annotations

import numpy as np
import pytest
import torch

from headlight.clustering import neighbours as module
from headlight.clustering.neighbours import nearest_neighbours
from headlight.clustering.training import Pairs


def unit_rows(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    points = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=1)


def brute_force(points: torch.Tensor, k: int) -> torch.Tensor:
    similarity = points @ points.T
    similarity.fill_diagonal_(-2)
    return similarity.topk(k, dim=1).indices


def test_neighbours_equal_brute_force():
    points = unit_rows(300, 12)
    indices, similarities = nearest_neighbours(points, 5)
    assert torch.equal(indices, brute_force(points, 5))
    expected = (points[:, None] * points[indices]).sum(-1)
    torch.testing.assert_close(similarities, expected, atol=1e-5, rtol=0)


def test_a_row_is_never_its_own_neighbour_even_among_duplicates():
    points = unit_rows(5, 8).repeat(20, 1)
    indices, _ = nearest_neighbours(points, 7)
    assert (indices != torch.arange(100)[:, None]).all()
    assert (indices >= 0).all()


def test_few_rows_have_fewer_neighbours():
    indices, _ = nearest_neighbours(unit_rows(4, 3), 10)
    assert indices.shape == (4, 3)
    assert all(set(row.tolist()) == set(range(4)) - {i} for i, row in enumerate(indices))


def test_approximate_search_finds_nearly_all_neighbours(monkeypatch):
    monkeypatch.setattr(module, "EXACT", 1000)
    # Points near a 6-dimensional subspace: like features, neighbours are neighbours.
    points = unit_rows(5000, 6) @ torch.linalg.qr(torch.randn(40, 6)).Q.T
    indices, _ = nearest_neighbours(points, 10)
    expected = brute_force(points, 10)
    assert (indices != torch.arange(5000)[:, None]).all()
    assert (indices >= 0).all()
    common = np.mean(
        [
            len(set(a.tolist()) & set(b.tolist())) / 10
            for a, b in zip(indices, expected, strict=True)
        ]
    )
    assert common > 0.85


def neighbours_of_30() -> torch.Tensor:
    return torch.stack([(torch.arange(30) + step) % 30 for step in (1, 2, 3)], dim=1)


def drawn(pairs: Pairs, epochs: int = 40) -> set[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(0)
    found: set[tuple[int, ...]] = set()
    for _ in range(epochs):
        for batch in pairs.epoch(10, generator):
            found |= set(zip(*(side.tolist() for side in batch), strict=True))
    return found


def test_an_epoch_anchors_every_row_once():
    anchors = [a for a, *_ in Pairs(30, 1, neighbours_of_30()).epoch(10, torch.Generator())]
    assert torch.equal(torch.cat(anchors).sort().values, torch.arange(30))


def test_one_view_pairs_every_row_with_each_of_its_neighbours_and_nothing_else():
    found = drawn(Pairs(30, 1, neighbours_of_30()))
    assert {(b - a) % 30 for a, _, b, _ in found} == {1, 2, 3}
    assert {(u, v) for _, u, _, v in found} == {(0, 0)}
    assert {a for a, *_ in found} == set(range(30))


def test_neighbours_come_in_all_combinations_of_views():
    found = drawn(Pairs(30, 3, neighbours_of_30()))
    assert {(u, v) for a, u, b, v in found if a != b} == {
        (u, v) for u in range(3) for v in range(3)
    }


def test_a_row_is_paired_with_itself_only_in_another_view():
    found = drawn(Pairs(30, 3, neighbours_of_30()))
    itself = {(u, v) for a, u, b, v in found if a == b}
    assert itself == {(u, v) for u in range(3) for v in range(3) if u != v}


@pytest.mark.parametrize("views", [2, 4])
def test_without_neighbours_pairs_are_two_different_views_of_one_row(views):
    found = drawn(Pairs(30, views, None))
    assert all(a == b for a, _, b, _ in found)
    assert {(u, v) for _, u, _, v in found} == {
        (u, v) for u in range(views) for v in range(views) if u != v
    }
