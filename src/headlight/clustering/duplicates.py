"""Rows that show nearly the same thing: groups of near-duplicates among nearest neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headlight.clustering.validation import Features

CHUNK = 512
# Neighbours compared. Groups may be larger: they are connected through one another.
COMPARED = 5
# Cosine of centred features. With the embedded encoder, 200 photographs of Caltech-101 and 100
# images of CIFAR-10 had no two above 0.80; of all 8,242 photographs, pairs above 0.92 are, looked
# at, almost all mirrored, re-encoded or redrawn copies, with a few aeroplanes of one kind in flight
# between 0.90 and 0.95. Of small changes to the photographs 0.92 finds 97 % (brightness + 15 %),
# 91 % (5 % cropped), 75 % (JPEG quality 40) and 23 % (half the size, 300 to 150 pixels).
THRESHOLD = 0.92


def near_duplicates(
    features: Features,
    neighbours: torch.Tensor,
    rows: np.ndarray,
    mean: torch.Tensor,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """The group of near-duplicates that each row belongs to: int64 (features.n,), −1 for none.

    Compares view 0 of every row of the graph with its five nearest neighbours there, by cosine of
    the encoder's own features less their mean: a projection that brings neighbours together would
    bring look-alikes too near. Groups are the connected components of the pairs found.

    Arguments:
        features: all rows; read in chunks.
        neighbours: int64 (m, k), of each of `rows`, as positions in `rows`, nearest first.
        rows: int64 (m,), sorted: the rows of `features` that the graph holds. The others get −1.
        mean: float32 (dim,), of the features.
        threshold: cosine from which two rows are near-duplicates.

    Returns:
        groups numbered from 0 by their first row; every group has two rows or more.

    Raises:
        ValueError: as many neighbours as rows are needed, or a threshold not in (0, 1].
    """
    if len(neighbours) != len(rows):
        raise ValueError(f"neighbours has {len(neighbours)} rows, rows has {len(rows)}.")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie above 0 and not above 1, got {threshold}.")
    first, second = _alike(features, neighbours[:, :COMPARED].numpy(), rows, mean, threshold)
    groups = np.full(features.n, -1, dtype=np.int64)
    pairs = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(rows),) * 2)
    component = connected_components(pairs, directed=False)[1]
    member = np.flatnonzero(np.bincount(component)[component] > 1) if len(rows) else rows
    _, where, inverse = np.unique(component[member], return_index=True, return_inverse=True)
    groups[rows[member]] = np.argsort(np.argsort(where))[inverse]
    return groups


def _alike(
    features: Features, near: np.ndarray, rows: np.ndarray, mean: torch.Tensor, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of positions in `rows` whose cosine is at least `threshold`: two int64 (pairs,)."""
    # Written into one array: small results kept between large chunks would leave memory in pieces.
    cosines = np.empty(near.shape, dtype=np.float32)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        centred = _centred(features, rows[part], mean)
        for j, other in enumerate(near[part].T):
            alike = torch.linalg.vecdot(centred, _centred(features, rows[other], mean))
            cosines[part, j] = alike.numpy()
    # Rounding may leave the cosine of two equal rows a little below 1.
    first, which = (cosines >= threshold - 1e-5).nonzero()
    return first, near[first, which]


def _centred(features: Features, index: np.ndarray, mean: torch.Tensor) -> torch.Tensor:
    """Rows less the mean, of length 1; in place, for memory that is given back comes in pieces."""
    rows = features.rows(index).sub_(mean)
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(1e-12))
