"""Many new images: their groups by clusters of old and new images together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Share of new images among the old ones from which on they are clustered together: fewer say little
# that the old ones don't, and a fit takes its time.
LEAST = 0.05
# Share of a cluster's images that makes their group one that new images may join.
COMMON = 0.1

Clustering = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Clusters some old and some new images, int64 numbers of them, into so many clusters: labels,
int64, of the old ones first."""


def joint_choice(
    joint: np.ndarray,
    clusters: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray,
) -> np.ndarray:
    """The group of each new row: int64 (m,), a column of ``probabilities``.

    A new row belongs where most old rows of its joint cluster were fitted to. If people have parted
    that cluster, or moved some of its images, it is the most probable of the groups they are in
    now.

    A head knows the old rows only. Where there are many new ones, clusters of all are better than
    those of the old ones, and so new rows find the better places without any old row moving:
    docs/research-notes.md has what was measured.

    Arguments:
        joint: int (n + m,), clusters of the old and the new rows together, as many as before.
        clusters: int (n,), those the old rows were fitted to.
        groups: int (n,), columns of ``probabilities``: the groups they are in now.
        probabilities: float32 (m, G), of the new rows.
    """
    fitted = np.unique(clusters, return_inverse=True)[1]
    best = probabilities.argmax(axis=1)
    old, new = joint[: len(clusters)], joint[len(clusters) :]
    for one in np.unique(new):
        members = np.flatnonzero(old == one)
        if not len(members):
            continue
        most = np.bincount(fitted[members]).argmax()
        counts = np.bincount(groups[members[fitted[members] == most]])
        common = np.flatnonzero(counts >= COMMON * counts.sum())
        rows = np.flatnonzero(new == one)
        best[rows] = common[probabilities[np.ix_(rows, common)].argmax(axis=1)]
    return best
