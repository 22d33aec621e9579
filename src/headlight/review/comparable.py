"""Rows as old and new ones are compared: which of them, and in which directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

CHUNK = 4096
# Principal components; each is divided by the fourth root of its variance. What a new class differs
# in need not vary much among the old ones: distance alone tells the strangers of TrashNet with an
# AUC of .90 so, .83 in plain components, .80 in the projection of a fit.
DIRECTIONS, DIRECTION_ROWS, FLATTENING = 128, 10_000, 0.25
# Near-duplicates: a squared distance below so much of the mean one from a group's centre, among so
# many neighbours; about a cosine of .92, as in `near_duplicates`, but wherever the old rows are.
TWINS, COMPARED = 0.16, 5


@dataclass(frozen=True)
class Flattening:
    """Rows in principal components whose variances are brought nearer to each other.

    Arguments:
        mean: float32 (dim,).
        axes: float32 (dim, d).
    """

    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Flattening:
        """Learned from float32 (n, dim), not all equal."""
        from headlight.clustering import Features
        from headlight.clustering.projection import fit_projections

        found = fit_projections(Features(rows), DIRECTIONS, kinds=("principal",))["principal"]
        mean, axes = found.mean.numpy(), found.components.numpy()
        variance = ((rows - mean) @ axes).var(axis=0)
        return cls(mean, axes / np.maximum(variance, 1e-4 * variance.max()) ** FLATTENING)

    def __call__(self, features: Any, numbers: np.ndarray) -> np.ndarray:
        """Some rows of (n, dim): float32 (rows, d)."""
        out = np.empty((len(numbers), self.axes.shape[1]), np.float32)
        for start in range(0, len(numbers), CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = (read_rows(features, numbers[part]) - self.mean) @ self.axes
        return out


def read_rows(features: Any, numbers: np.ndarray) -> np.ndarray:
    """Some rows of (n, dim): float32 (rows, dim)."""
    return np.asarray(features[numbers]).astype(np.float32)


def drawn_from(numbers: np.ndarray, most: int) -> np.ndarray:
    """All of the numbers, or `most` of them drawn at random, always the same."""
    from headlight.clustering.features import sample

    return numbers[sample(len(numbers), most)]


def thinned(labels: np.ndarray, most: int) -> np.ndarray:
    """Numbers of rows, at most `most`, of every group the same number or all it has: sorted."""
    sizes = np.bincount(labels)
    low, high = 0, len(labels)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(sizes, middle).sum() <= most else (low, middle - 1)
    each = [drawn_from(np.flatnonzero(labels == group), max(low, 1)) for group in range(len(sizes))]
    return np.sort(np.concatenate(each))


def scatter_of(rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of rows from the mean of their group, single rows left out.

    Of all rows as one group, if there are only single ones; 0 of one row.
    """
    total, count = 0.0, 0
    for one in np.unique(labels):
        own = rows[labels == one]
        if len(own) > 1:
            total += float(np.square(own - own.mean(axis=0)).sum()) * len(own) / (len(own) - 1)
            count += len(own)
    if count or len(rows) < 2:
        return total / max(count, 1)
    return scatter_of(rows, np.zeros_like(labels))


def distinct_rows(new: Any, flat: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """One row of each group of near-duplicates, and for every row which of these stands for it.

    Arguments:
        new: (m, dim).
        flat: float32 (m, d), what neighbours are sought in.
        least: squared distance of rows that are none.
    """
    import torch

    from headlight.clustering.neighbours import nearest_neighbours

    if len(new) < 2:
        return np.arange(len(new)), np.arange(len(new))
    near = nearest_neighbours(torch.from_numpy(flat), COMPARED)[0].numpy()
    alike = np.empty(near.shape, dtype=bool)
    for start in range(0, len(new), CHUNK):
        part = slice(start, start + CHUNK)
        rows = read_rows(new, np.arange(len(new))[part])
        for column in range(near.shape[1]):
            other = read_rows(new, near[part, column])
            alike[part, column] = np.square(rows - other).sum(axis=1) < least
    row, place = alike.nonzero()
    pairs = sp.coo_matrix((np.ones(len(row)), (row, near[row, place])), shape=(len(new),) * 2)
    of_group = connected_components(pairs, directed=False)[1]
    _, first, number = np.unique(of_group, return_index=True, return_inverse=True)
    return first, number
