"""What an image is compared with, alone, to see whether it belongs to any group."""

from __future__ import annotations

import numpy as np

from headlight.runs.projected import unit

# References of a group at most, of all groups, and rows of one reference.
PER_GROUP, IN_ALL, ROWS_OF_ONE = 20, 2_000, 15
# Rows of a group that references are sought among.
MOST_ROWS = 2_000
# Share of a reference's rows that may lie farther from it than its bound.
BEYOND = 0.01
# Rows from which on a bound is told.
FEW = 4
# Rows of all references that count beside those of one.
PRIOR = 30
# Rows compared at once; by how much a row's cosine with itself, of float16, may be below 1.
CHUNK, TOLERANCE = 4096, 2e-3


def nearness(rows: np.ndarray, points: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The largest cosine of each row with a reference, minus the `least` of that: float32 (m,).

    Arguments:
        rows: float16 or float32 (m, d), of length 1.
        points, least: of `reference_points`; at least one.
    """
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = (rows[part].astype(np.float32) @ points.T - least).max(axis=1)
    return found


def reference_points(
    old: np.ndarray, labels: np.ndarray, by_hand: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points in the groups, and how near an image must be to one of them to belong to a group.

    An image is of no group if its cosine with every reference is below that one's `least`.
    References are centres of k-means of every second row of a group; the bounds come from the other
    rows, which the centres don't know, and are lowered where they would leave out more of the old
    rows. Rows placed by hand that are far from all of these are
    references, too: what a person has put in a group belongs to one.

    Arguments:
        old: float16 or float32 (n, d), of length 1.
        labels: int (n,), their groups.
        by_hand: bool (n,), placed by a person.

    Returns:
        references float32 (r, d), of length 1, and least float32 (r,); r is at least the number of
        groups, and at most 20 a group and 2,000 in all, or one a group where there are more groups,
        and those placed by hand.

    Raises:
        ValueError: different numbers of rows and labels.
    """
    if len(old) != len(labels):
        raise ValueError(f"old has {len(old)} rows, labels has {len(labels)}.")
    groups = np.unique(labels)
    most = max(1, min(PER_GROUP, IN_ALL // max(len(groups), 1)))
    points, nearest, cosines = [], [], []
    lowest = []  # of all rows of a group, the cosine that few are below
    count = 0
    for group in groups:
        rows = _drawn(old, np.flatnonzero(labels == group))
        centres = _centres(rows[::2], most)
        others = rows[1::2]
        near = others @ centres.T
        own = (rows @ centres.T).max(axis=1)
        lowest.append(np.full(len(centres), np.quantile(own, BEYOND, method="lower")))
        points.append(centres)
        nearest.append(count + near.argmax(axis=1))
        cosines.append(near.max(axis=1))
        count += len(centres)
    if not points:
        return np.empty((0, old.shape[1]), np.float32), np.empty(0, np.float32)
    near, cosine = np.concatenate(nearest), np.concatenate(cosines)
    everywhere = _bound(cosine)
    least = np.full(count, everywhere, np.float32)
    for one in np.unique(near):
        own = cosine[near == one]
        least[one] = (len(own) * _bound(own) + PRIOR * everywhere) / (len(own) + PRIOR)
    least = np.minimum(least, np.concatenate(lowest)).astype(np.float32) - np.float32(1e-6)
    centres = np.concatenate(points)
    placed = old[by_hand].astype(np.float32)
    placed = placed[nearness(placed, centres, least) < 0][:IN_ALL]
    alone = np.full(len(placed), min(everywhere, 1 - TOLERANCE), np.float32)
    return np.concatenate([centres, placed]), np.concatenate([least, alone])


def _bound(cosines: np.ndarray) -> float:
    """Below which a share of `BEYOND` lies of rows like these.

    Their quantile; of few rows, whose least is not that far out, the prediction bound of a normal
    distribution.
    """
    from scipy.stats import t

    n = len(cosines)
    if n < FEW:
        return -1.0
    spread = float(cosines.std(ddof=1)) * float(t.ppf(1 - BEYOND, n - 1)) * (1 + 1 / n) ** 0.5
    return min(float(np.quantile(cosines, BEYOND)), float(cosines.mean()) - spread)


def _drawn(old: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Rows of a group in random order, always the same: float32 (rows, d)."""
    return old[np.random.default_rng(0).permutation(members)[:MOST_ROWS]].astype(np.float32)


def _centres(rows: np.ndarray, most: int) -> np.ndarray:
    from headlight.clustering.k_means import k_means

    count = min(most, max(1, len(rows) // ROWS_OF_ONE))
    return unit(k_means(np.ascontiguousarray(rows), count, seed=0)[0])
