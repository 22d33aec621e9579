"""Heads learned from groups: what they agree with, what they are not misled by, how far they go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.review import learning
from headlight.review.learning import learn_groups, learn_head, logits_of


def blobs(sizes: list[int], dim: int = 32, spread: float = 0.15, seed: int = 0) -> np.ndarray:
    """Rows of length 1 around a direction for each size."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), dim)) / dim**0.5
    rows = np.repeat(centres, sizes, axis=0)
    rows = rows + rng.normal(size=rows.shape) * spread
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def groups(sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def sure(n: int) -> np.ndarray:
    return np.full(n, 0.9, np.float32)


def test_a_head_is_where_the_loss_has_its_minimum() -> None:
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(blobs([30, 20, 10], dim=8, spread=0.4))
    y, weight = groups([30, 20, 10]), rng.uniform(0.5, 5, 60).astype(np.float32)
    head = learn_head(rows, y, weight, 3, penalty=1e-2, steps=200).requires_grad_(True)
    share = torch.from_numpy(weight / weight.sum())
    wrong = torch.nn.functional.cross_entropy(
        logits_of(head, rows), torch.from_numpy(y), reduction="none"
    )
    ((share * wrong).sum() + 1e-2 * head.square().sum()).backward()
    assert float(head.grad.abs().max()) < 1e-4
    other = learn_head(rows, y, np.ones(60, np.float32), 3, penalty=1e-2, steps=200)
    assert float((other - head.detach()).abs().max()) > 1e-2  # weights count


def test_images_placed_by_hand_are_believed_against_their_neighbours() -> None:
    sizes = [2000, 2000]
    rows, y = blobs(sizes, dim=128, spread=0.08), groups(sizes)
    by_hand = np.zeros(4000, bool)
    odd = np.random.default_rng(1).choice(2000, 20, replace=False)
    y[odd], by_hand[odd] = 1, True
    learned = learn_groups(rows, y, by_hand, sure(4000))
    assert learned.right[by_hand].mean() >= 0.98
    assert learned.right.mean() >= 0.95
    logits = torch.from_numpy(rows).float() @ learned.weight.T + learned.bias
    assert ((logits.argmax(dim=1).numpy() == y) == learned.right).mean() > 0.995


def test_groups_that_overlap_are_agreed_with_by_a_less_smooth_head() -> None:
    sizes = [300, 300, 300]
    rows, y = blobs(sizes, dim=256, spread=0.25), groups(sizes)
    y[np.random.default_rng(0).choice(900, 90, replace=False)] = 2
    learned = learn_groups(rows, y, np.zeros(900, bool), sure(900))
    assert learned.right.mean() >= learning.AGREES
    assert learned.rounds > 1


def test_the_same_groups_give_the_same_bits() -> None:
    rows, y = blobs([50, 50, 9]), groups([50, 50, 9])
    hand = np.arange(109) % 10 == 0
    first, again = (learn_groups(rows, y, hand, sure(109)) for _ in range(2))
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)


@pytest.mark.parametrize(
    "sizes", [[1], [40], [1, 1], [3, 1], [100, 1, 1], [1] * 12, [400, 5]], ids=str
)
def test_groups_of_any_size_are_learned(sizes: list[int]) -> None:
    n = sum(sizes)
    learned = learn_groups(blobs(sizes), groups(sizes), np.zeros(n, bool), sure(n))
    assert learned.weight.shape == (len(sizes), 32)
    assert bool(torch.isfinite(learned.weight).all() and torch.isfinite(learned.bias).all())
    assert learned.right.mean() >= 0.95


def test_a_new_group_of_eight_is_not_lost_among_thousands() -> None:
    sizes = [3000, 2000, 8]
    by_hand = groups(sizes) == 2
    learned = learn_groups(blobs(sizes), groups(sizes), by_hand, sure(5008))
    assert learned.right[by_hand].all()


def test_two_thousand_groups_are_learned_in_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    real = learn_head

    def counted(*given: object, **settings: int) -> torch.Tensor:
        steps.append(settings["steps"])
        return real(*given, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(learning, "learn_head", counted)
    monkeypatch.setattr(learning, "WORK", learning.WORK / 100)
    sizes = [2] * 2000
    learned = learn_groups(blobs(sizes, 64, 0.05), groups(sizes), np.zeros(4000, bool), sure(4000))
    assert learned.right.mean() >= 0.95
    assert max(steps) == learning.LEAST_STEPS


def test_what_contradicts_itself_ends_and_takes_the_majority() -> None:
    rows = np.repeat(blobs([1, 1]), [1010, 700], axis=0)
    y = np.array([0] * 710 + [1] * 1000)  # 300 copies of the first image are in the second group
    learned = learn_groups(rows, y, np.zeros(1710, bool), sure(1710))
    assert learned.right.sum() == 1410
    assert learned.rounds < learning.ROUNDS


def test_images_placed_at_random_do_not_spoil_the_others() -> None:
    sizes = [60] * 40
    rows, y = blobs(sizes, dim=32, spread=0.1), groups(sizes)
    rng = np.random.default_rng(1)
    by_hand = rng.random(len(y)) < 0.16
    y[by_hand] = rng.integers(40, size=by_hand.sum())
    learned = learn_groups(rows, y, by_hand, sure(len(y)))
    assert learned.right[~by_hand].mean() >= 0.9


def test_a_small_group_is_not_swallowed_by_a_large_one_like_it() -> None:
    rng = np.random.default_rng(0)
    sizes = [3000, 3000, 10]
    centres = rng.normal(size=(3, 64)) / 8
    centres[2] = 0.75 * centres[0] + 0.5 * centres[2]
    rows = np.repeat(centres, sizes, axis=0) + rng.normal(size=(6010, 64)) * 0.1
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    learned = learn_groups(rows, groups(sizes), np.zeros(6010, bool), sure(6010))
    assert learned.right[-10:].mean() >= 0.9


def test_confidence_is_what_is_right_of_images_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    sizes = [300, 300, 300]
    rows, y = blobs(sizes, dim=64, spread=0.1), groups(sizes)
    wrong = rng.random(900) < 0.3
    y[wrong] = rng.integers(0, 3, wrong.sum())
    learnt = rng.random(900) < 0.5
    n = int(learnt.sum())
    learned = learn_groups(rows[learnt], y[learnt], np.zeros(n, bool), sure(n))
    logits = torch.from_numpy(rows[~learnt]).float() @ learned.weight.T + learned.bias
    found = logits.softmax(dim=1).max(dim=1)
    right = (found.indices.numpy() == y[~learnt]).mean()
    assert abs(float(found.values.mean()) - right) < 0.08


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    hands=st.integers(0, 40),
    most=st.integers(1, 80),
)
def test_rows_are_drawn_from_the_large_groups_and_stand_for_them(
    sizes: list[int], hands: int, most: int
) -> None:
    y = groups(sizes)
    by_hand = np.zeros(len(y), bool)
    by_hand[np.random.default_rng(0).permutation(len(y))[:hands]] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "MOST_ROWS", most)
        drawn, stands_for = learning._drawn(y, by_hand, np.bincount(y))
    assert (np.diff(drawn) > 0).all()
    assert len(drawn) <= max(most + len(sizes), 2 * len(sizes))
    assert by_hand[drawn].sum() == min(by_hand.sum(), most)
    others = drawn[~by_hand[drawn]]
    there = np.bincount(y[~by_hand], minlength=len(sizes))
    kept = np.bincount(y[others], minlength=len(sizes))
    np.testing.assert_allclose(kept * stands_for, there)
    if len(y) <= most:
        assert len(drawn) == len(y)
    cut = kept < there
    if cut.any():  # a group is cut only to the size that no other exceeds
        assert kept.max() == kept[cut].min()
