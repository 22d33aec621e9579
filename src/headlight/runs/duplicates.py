"""Groups of near-duplicates, found among nearest neighbours in the projection."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headlight.runs.projected import unit

CHUNK = 512
# Images compared at most: neighbours of more would not fit in memory.
MOST_ROWS = 200_000
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
    features: np.ndarray,
    projected: np.ndarray,
    mean: np.ndarray,
    *,
    threshold: float = THRESHOLD,
) -> np.ndarray:
    """The group of near-duplicates that each row belongs to: int64 (n,), −1 for none.

    Compares every row with its five nearest neighbours in the projection, by cosine of the
    encoder's own features less their mean: a projection that brings neighbours together would make
    similar images look like duplicates. Groups are the connected components of the pairs found.

    Arguments:
        features: (n, dim) of any float kind; read in chunks. Of more than 200,000 rows a random
            sample is compared; the others get −1.
        projected: float16 or float32 (n, d), the same rows projected, of length 1: pairs of cosine
            below 0.7 are not compared.
        mean: float32 (dim,), of the features.
        threshold: cosine from which two rows are near-duplicates.

    Returns:
        groups numbered from 0 by their first row; every group has two rows or more.

    Raises:
        ValueError: different numbers of rows, or a threshold not in (0, 1].
    """
    import torch

    from headlight.clustering.features import sample
    from headlight.clustering.neighbours import nearest_neighbours

    if len(features) != len(projected):
        raise ValueError(f"features has {len(features)} rows, projected has {len(projected)}.")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie above 0 and not above 1, got {threshold}.")
    rows = sample(len(features), MOST_ROWS)
    neighbours, similarities = nearest_neighbours(torch.from_numpy(projected[rows]), COMPARED)
    first, which = (similarities.numpy() >= LOOKED_AT).nonzero()
    second = neighbours.numpy()[first, which]
    alike = _alike(features, rows[first], rows[second], mean, threshold)
    return _components(len(features), rows[first[alike]], rows[second[alike]])


def extended_duplicates(
    groups: np.ndarray,
    features: np.ndarray,
    projected: np.ndarray,
    mean: np.ndarray,
    new: np.ndarray,
) -> np.ndarray:
    """`near_duplicates` of rows of which only some are new.

    Arguments:
        groups: int (n,), of earlier; −1 for none, and for new rows.
        features, projected, mean: as there.
        new: int (m,), rows that are compared with all others.

    Returns:
        int64 (n,), numbered anew. Groups with one row left are none.
    """
    import faiss

    pairs = [np.empty((0, 2), np.int64)]
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    same = groups[order[1:]] == groups[order[:-1]]
    pairs.append(np.stack([order[:-1][same], order[1:][same]], axis=1))
    if len(new):
        index = faiss.IndexFlatIP(projected.shape[1])
        for start in range(0, len(projected), CHUNK):
            index.add(projected[start : start + CHUNK].astype(np.float32))
        count = min(COMPARED + 1, len(projected))
        similar, near = index.search(projected[new].astype(np.float32), count)
        first, which = (similar >= LOOKED_AT).nonzero()
        found = np.stack([new[first], near[first, which]], axis=1)
        found = found[found[:, 0] != found[:, 1]]
        pairs.append(found[_alike(features, found[:, 0], found[:, 1], mean, THRESHOLD)])
    first, second = np.concatenate(pairs).T
    return _components(len(features), first, second)


def _components(n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Connected rows: int64 (n,), numbered from 0 by their first row; −1: connected to none."""
    groups = np.full(n, -1, dtype=np.int64)
    pairs = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(n, n))
    component = connected_components(pairs, directed=False)[1]
    member = np.flatnonzero(np.bincount(component)[component] > 1)
    _, where, inverse = np.unique(component[member], return_index=True, return_inverse=True)
    groups[member] = np.argsort(np.argsort(where))[inverse]
    return groups


def _alike(
    features: np.ndarray, first: np.ndarray, second: np.ndarray, mean: np.ndarray, threshold: float
) -> np.ndarray:
    """Whether the cosine of two rows is at least `threshold`, for many pairs: bool (pairs,)."""
    # Written into one array: small results kept between large chunks would leave memory in pieces.
    cosines = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        one = unit(features[first[part]].astype(np.float32) - mean)
        other = unit(features[second[part]].astype(np.float32) - mean)
        cosines[part] = np.einsum("ij,ij->i", one, other)
    # Rounding may leave the cosine of two equal rows a little below 1.
    return cosines >= threshold - 1e-5
