"""Choosing on all data sets but one, and the score on that one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What leave-one-set-out says of one decision.

    Arguments:
        sets: the data sets, in the order of `picked` and `scores`.
        means: of each option, the mean score over all sets.
        picked: for each set, the option with the best mean over the other sets; of equally good
            ones the shipped one.
        scores: for each set, the score there of what was picked without it.
        survives: see `leave_one_out`.
    """

    sets: tuple[str, ...]
    means: dict[str, float]
    picked: tuple[str, ...]
    scores: tuple[float, ...]
    survives: bool

    @property
    def mean(self) -> float:
        """The mean score of choosing without the set that is scored."""
        return float(np.mean(self.scores))


def leave_one_out(chosen: str, scores: Mapping[str, Mapping[str, float]]) -> Verdict:
    """Leave each data set out in turn.

    The shipped option survives if choosing with one set left out scores no lower than any fixed
    alternative, and neither does the shipped option itself: without the second, one that loses
    everywhere would survive, because what beats it is picked every time.

    Arguments:
        chosen: the shipped option.
        scores: of each option, the score on each data set; the same sets of each.

    Raises:
        ValueError: fewer than two sets, or an option that lacks some.
    """
    sets = tuple(sorted(scores[chosen]))
    if len(sets) < 2:
        raise ValueError("leaving one data set out takes two of them")
    names = [chosen, *(name for name in scores if name != chosen)]
    if any(set(scores[name]) != set(sets) for name in names):
        raise ValueError("options were measured on different data sets")
    table = np.array([[scores[name][data] for data in sets] for name in names])
    others = (table.sum(axis=1, keepdims=True) - table) / (len(sets) - 1)
    best = _first_best(others)
    left_out = table[best, np.arange(len(sets))]
    means = table.mean(axis=1)
    least = min(left_out.mean(), means[0])
    return Verdict(
        sets,
        dict(zip(names, means.tolist(), strict=True)),
        tuple(names[at] for at in best),
        tuple(left_out.tolist()),
        bool((least >= means[1:] - ROUNDING).all()),
    )


ROUNDING = 1e-9


def _first_best(table: np.ndarray) -> np.ndarray:
    """In each column the first row that is the highest but for rounding."""
    return (table >= table.max(axis=0) - ROUNDING).argmax(axis=0)
