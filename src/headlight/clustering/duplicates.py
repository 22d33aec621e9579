"""Groups of near-duplicates, found among nearest neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headlight.clustering.validation import Features

CHUNK = 512
# Neighbours compared. Groups may be larger: they are connected through one another.
COMPARED = 5
# Cosine of centred features. With the bundled encoder, 200 photographs of Caltech-101 and 100
# images of CIFAR-10 had no two above 0.80; of all 8,242 photographs, pairs above 0.92 are, looked
# at, almost all mirrored, re-encoded or redrawn copies, with a few aeroplanes of one kind in flight
# between 0.90 and 0.95. Of small changes to the photographs 0.92 finds 97 % (brightness + 15 %),
# 91 % (5 % cropped), 75 % (JPEG quality 40) and 23 % (half the size, 300 to 150 pixels).
THRESHOLD = 0.92
# Projected cosine below which two rows are not even compared: of 589 pairs of near-duplicates
# (Caltech-101, digits) none was below 0.79, of CIFAR-10's neighbours 56 % are below this.
LOOKED_AT = 0.7


def near_duplicates(
    features: Features,
    neighbours: torch.Tensor,
    similarities: torch.Tensor,
    rows: np.ndarray,
    mean: torch.Tensor,
    *,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """The group of near-duplicates that each row belongs to: int64 (features.n,), −1 for none.

    Compares view 0 of every row of the graph with its five nearest neighbours there, by cosine of
    the encoder's own features less their mean: a projection that brings neighbours together would
    make similar images look like duplicates. Groups are the connected components of the pairs
    found.

    Arguments:
        features: all rows; read in chunks.
        neighbours: int64 (m, k), of each of `rows`, as positions in `rows`, nearest first.
        similarities: float32 (m, k), their projected cosines: pairs below 0.7 are not compared.
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
    near = similarities[:, :COMPARED].numpy() >= LOOKED_AT
    first, which = near.nonzero()
    second = neighbours.numpy()[first, which]
    alike = _alike(features, rows[first], rows[second], mean, threshold)
    first, second = first[alike], second[alike]
    groups = np.full(features.n, -1, dtype=np.int64)
    pairs = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(rows),) * 2)
    component = connected_components(pairs, directed=False)[1]
    member = np.flatnonzero(np.bincount(component)[component] > 1) if len(rows) else rows
    _, where, inverse = np.unique(component[member], return_index=True, return_inverse=True)
    groups[rows[member]] = np.argsort(np.argsort(where))[inverse]
    return groups


def _alike(
    features: Features, first: np.ndarray, second: np.ndarray, mean: torch.Tensor, threshold: float
) -> np.ndarray:
    """Whether the cosine of two rows is at least `threshold`, for many pairs: bool (pairs,)."""
    # Written into one array: small results kept between large chunks would leave memory in pieces.
    cosines = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        centred = _centred(features, first[part], mean), _centred(features, second[part], mean)
        cosines[part] = torch.linalg.vecdot(*centred).numpy()
    # Rounding may leave the cosine of two equal rows a little below 1.
    return cosines >= threshold - 1e-5


def _centred(features: Features, index: np.ndarray, mean: torch.Tensor) -> torch.Tensor:
    """Rows less the mean, of length 1; in place, to avoid fragmenting memory."""
    rows = features.rows(index).sub_(mean)
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(1e-12))
