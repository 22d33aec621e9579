"""New images that belong to no group, and the groups that they would make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from headlight.review.comparable import (
    DIRECTION_ROWS,
    TWINS,
    Flattening,
    distinct_rows,
    drawn_from,
    read_rows,
    scatter_of,
    thinned,
)
from headlight.runs.projected import unit

# Old rows that are looked at, of large groups fewer; new ones at most so many times as many. The
# largest set measured had 8,242; the time grows with the square.
MOST_OLD, TIMES_OLD = 15_000, 2
NEIGHBOURS = 10
# With fewer distinct rows than this share, copies have had directions of their own.
FEWER = 0.9
# Rows whose company is newer than that of so many of their group's old rows are looked at.
USUAL = 0.95
# Rows of all groups that count beside those of one.
PRIOR = 30
# Images, no two of them near-duplicates, that make a group.
LEAST = 5
# A group is new if the mean normal score of its rows' distances is EFFECT + NOISE / √n or more.
EFFECT, NOISE = 0.5, 1.5
# Share of the neighbours that make a row one of a new group; share of its rows that must stay.
SHARE, STAY, REACH, LEAST_REACH = 0.5, 0.5, 2, 0.4
# New groups are the fewest whose rows are so much as alike as those of the old groups.
ALIKE = 1.0
# Rows that scatter less than this share of what is usual in a group count as fewer.
NARROW = 0.75
# Pieces that they are merged from, and rows of one.
MOST_PIECES, PIECE_ROWS = 300, 5
# A row farther from all others than so many of the old ones is unlike any.
STRANGE = 0.99


@dataclass(frozen=True)
class Novelty:
    """What new rows are.

    Arguments:
        groups: int64 (m,), the new group that a row is of, 0 the largest; −1: of an old group.
        unlike: bool (m,), of no new group, but farther from the old rows than 99 % of these are
            from each other: nothing is known of it.
    """

    groups: np.ndarray
    unlike: np.ndarray


def novel_rows(old: Any, labels: np.ndarray, new: Any) -> Novelty:
    """Which new rows belong to no group, and which of them belong together.

    Where a class is new, its images have new neighbours only. Where it is old, new and old rows are
    mixed, in every group in its own proportion. So a row is looked at where the share of new rows
    around it, two steps far, is larger than around 95 % of the old rows of the group it is nearest
    to. These rows are put in groups, as coarse as the old ones. A group is new if its rows are
    farther from old rows than these are from each other; how much farther depends on how many they
    are, and how unlike each other. At last each row goes with the majority of its neighbours, and
    groups that lose half their rows so are none. Near-duplicates count as one row: photographs
    taken in a burst have new neighbours too. docs/research-notes.md has what was measured.

    Arguments:
        old: (n, dim), features of any float kind, not projected: a projection learned on the old
            rows squashes what sets new classes apart, and brings the old rows nearer to each other
            than unseen ones; read in chunks.
        labels: int (n,), groups of the old rows.
        new: (m, dim).

    Returns:
        Of rows all equal, of none, and where there are no old ones: no new groups.

    Raises:
        ValueError: different numbers of features, or of labels and old rows.
    """
    if len(old) != len(labels):
        raise ValueError(f"old has {len(old)} rows, labels has {len(labels)}.")
    if old.shape[1:] != new.shape[1:]:
        raise ValueError(f"old has rows of {old.shape[1:]}, new of {new.shape[1:]}.")
    found = Novelty(np.full(len(new), -1), np.zeros(len(new), dtype=bool))
    if not len(old) or not len(new):
        return found
    labels = np.unique(labels, return_inverse=True)[1]
    chosen = thinned(labels, MOST_OLD)
    labels = labels[chosen]
    read = drawn_from(np.arange(len(chosen)), DIRECTION_ROWS)
    some = read_rows(old, chosen[read])
    scatter = scatter_of(some, labels[read])
    if not scatter > 0:
        return found

    def flattening(numbers: np.ndarray) -> Flattening:
        return Flattening.of(
            np.concatenate([some, read_rows(new, drawn_from(numbers, DIRECTION_ROWS // 2))])
        )

    every = np.arange(len(new))
    flat = flattening(every)
    first, number = distinct_rows(new, unit(flat(new, every)), TWINS * scatter)
    if len(first) < FEWER * len(new):  # the copies have had directions of their own
        flat = flattening(first)
    groups, unlike = _judged(flat(old, chosen), labels, flat(new, first))
    return Novelty(_only(groups[number], lambda members: True), unlike[number])


def _judged(
    old_points: np.ndarray, labels: np.ndarray, new_points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`Novelty` of distinct rows, float32 (n, d) and (m, d)."""
    import torch

    from headlight.clustering.neighbours import NeighbourIndex

    old, new = unit(old_points), unit(new_points)
    # A large new group has no direction as seen from the middle of all.
    middle = old_points.mean(axis=0)
    known = NeighbourIndex(torch.from_numpy(old))
    between = known.among_themselves(torch.from_numpy(old), NEIGHBOURS)[1].numpy()
    near, which = known.search(torch.from_numpy(new), NEIGHBOURS)
    nearest = labels[which[:, 0]]
    far = _ranks(1 - near.mean(axis=1), nearest, 1 - between.mean(axis=1), labels)

    drawn = drawn_from(np.arange(len(new)), max(TIMES_OLD * len(old), LEAST))
    points = torch.from_numpy(np.concatenate([old, new[drawn]]))
    index = NeighbourIndex(points)
    edges = _edges(index.among_themselves(points, NEIGHBOURS)[0].numpy())
    company = _company(edges, np.arange(len(points)) >= len(old))
    held = np.flatnonzero(
        company[len(old) :] > _limits(company[: len(old)], labels)[nearest[drawn]]
    )

    groups = np.full(len(points), -1)
    groups[len(old) + held] = _parts(
        new[drawn[held]],
        unit(new_points[drawn[held]] - middle),
        ALIKE * _alike(unit(old_points - middle), labels),
    )
    narrow = NARROW * scatter_of(old_points, labels)

    def is_new(members: np.ndarray) -> bool:
        places = drawn[members - len(old)]
        return _is_new(far[places], new_points[places], narrow)

    groups = _only(groups, is_new)
    voted = _voted(edges, groups, len(old))

    def stays(members: np.ndarray) -> bool:
        one = voted[members[0]]
        before = groups == one
        return len(members) >= LEAST and bool((voted[before] == one).mean() >= STAY)

    groups = _only(voted, stays)
    every = np.full(len(new), -1)
    every[drawn] = groups[len(old) :]
    rest = np.setdiff1d(np.arange(len(new)), drawn, assume_unique=True)
    if len(rest):
        beside = index.search(torch.from_numpy(new[rest]), NEIGHBOURS)[1]
        every[rest] = _majority(_shares(groups[beside]))
    return every, (far >= STRANGE) & (every < 0)


def _edges(near: np.ndarray) -> sp.csr_matrix:
    """What row i weighs among the neighbours of another: its own, and those whose it is."""
    n, k = near.shape
    starts = np.arange(0, n * k + 1, k)
    there = sp.csr_matrix((np.ones(n * k, np.float32), near.ravel(), starts), shape=(n, n))
    both = (there + there.T).tocsr()
    return (sp.diags(1 / np.maximum(both.sum(axis=1).A1, 1)) @ both).tocsr()


def _company(edges: sp.csr_matrix, is_new: np.ndarray) -> np.ndarray:
    """Share of new rows one and two steps away: float32 (n,).

    Ways back to the row itself don't count: they would make new rows out of being new.
    """
    share = edges @ is_new.astype(np.float32)
    back = edges.multiply(edges.T).sum(axis=1).A1
    return (share + (edges @ share - back * is_new) / np.maximum(1 - back, 1e-6)) / 2


def _limits(company: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Company that is unusual in each group, drawn towards that of all the fewer rows it has."""
    sizes = np.bincount(labels)
    own = np.array([np.quantile(company[labels == one], USUAL) for one in range(len(sizes))])
    return (sizes * own + PRIOR * np.quantile(company, USUAL)) / (sizes + PRIOR)


def _ranks(
    values: np.ndarray, group: np.ndarray, usual: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Share of the old rows of a row's group whose values are smaller, drawn towards that of all.

    Strictly between 0 and 1, for normal scores.
    """
    every = np.searchsorted(np.sort(usual), values) / len(usual)
    found = every.copy()
    for one in np.unique(group):
        own, here = np.sort(usual[labels == one]), group == one
        smaller = np.searchsorted(own, values[here])
        found[here] = (smaller + PRIOR * every[here]) / (len(own) + PRIOR)
    edge = 0.5 / (len(usual) + 1)
    return found.clip(edge, 1 - edge)


def _parts(rows: np.ndarray, seen: np.ndarray, alike: float) -> np.ndarray:
    """Groups of rows, the fewest whose pairs are so much alike: int64 (n,).

    Pieces of k-means are merged as `headlight.SCP` does it.
    """
    import torch

    from headlight.clustering.constants import ROBUST
    from headlight.clustering.information import edge_shares, merges
    from headlight.clustering.k_means import k_means
    from headlight.clustering.neighbours import nearest_neighbours

    n = len(rows)
    if n < LEAST:
        return np.full(n, -1)
    pieces, wanted = np.arange(n), min(MOST_PIECES, max(100, n // PIECE_ROWS))
    if n > wanted:
        pieces = np.unique(k_means(rows, wanted, seed=0)[1], return_inverse=True)[1]
    near = nearest_neighbours(torch.from_numpy(rows), min(NEIGHBOURS, n // 4))[0]
    shares = edge_shares(pieces, near, int(pieces.max()) + 1)
    group = np.arange(len(shares))
    ways = [group]
    for a, b, *_ in merges(shares, ROBUST.information_power):
        group = np.where(group == b, a, group)
        ways.append(group)
    best, found = -1.0, np.zeros(n, np.int64)
    for way in reversed(ways):
        labels = np.unique(way[pieces], return_inverse=True)[1]
        if np.square(np.bincount(labels)).sum() < 2 * LEAST * n:  # the mean size, as a row sees it
            break
        if (value := _alike(seen, labels)) > best:
            best, found = value, labels
        if value >= alike:
            break
    return found


def _only(groups: np.ndarray, kept: Callable[[np.ndarray], bool]) -> np.ndarray:
    """Groups of which `kept` is true, given the numbers of their rows; the largest is 0."""
    members = [np.flatnonzero(groups == one) for one in range(int(groups.max(initial=-1)) + 1)]
    members = [rows for rows in members if len(rows) and kept(rows)]
    found = np.full(len(groups), -1)
    for number, rows in enumerate(sorted(members, key=len, reverse=True)):
        found[rows] = number
    return found


def _alike(rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean cosine of two rows of a group, over all rows, float32 (n, d), of length 1.

    A single row is like no other.
    """
    total = 0.0
    for one in np.unique(labels):
        own = rows[labels == one]
        pairs = float(np.square(own.sum(axis=0, dtype=np.float64)).sum()) - len(own)
        total += pairs / max(len(own) - 1, 1)
    return total / len(rows)


def _is_new(far: np.ndarray, points: np.ndarray, narrow: float) -> bool:
    """Whether these rows are farther from old ones than chance and one odd motif would have them.

    Arguments:
        far: (n,), ranks of their distances.
        points: (n, d).
        narrow: scatter below which rows say the same.
    """
    from scipy.special import ndtri

    n = len(points)
    if n < LEAST:
        return False
    same = max(0.0, 1 - scatter_of(points, np.zeros(n, np.int64)) / narrow)
    free = n / (1 + (n - 1) * same)  # the design effect of surveys
    return bool(ndtri(far).mean() >= EFFECT + NOISE / free**0.5)


def _voted(edges: sp.csr_matrix, groups: np.ndarray, n_old: int) -> np.ndarray:
    """The new group that most neighbours of a row are of, two steps far; −1: none."""
    shares = _shares(groups[:, None])
    shares = (edges @ shares + edges @ (edges @ shares)) / 2
    # Of a small group there are not as many rows as there are neighbours.
    others = np.bincount(groups + 1, minlength=shares.shape[1])[1:] - 1
    shares[:, 1:] /= np.clip(others / (REACH * NEIGHBOURS), LEAST_REACH, 1)
    voted = _majority(shares)
    voted[:n_old] = -1
    return voted


def _shares(groups: np.ndarray) -> np.ndarray:
    """Of groups (n, k), −1 for none, the share of each of them: float32 (n, 1 + groups)."""
    count = int(groups.max(initial=-1)) + 2
    shares = np.zeros((len(groups), count), np.float32)
    for column in groups.T:
        shares[np.arange(len(groups)), column + 1] += 1 / groups.shape[1]
    return shares


def _majority(shares: np.ndarray) -> np.ndarray:
    if shares.shape[1] < 2:
        return np.full(len(shares), -1)
    return np.where(shares[:, 1:].sum(axis=1) > SHARE, shares[:, 1:].argmax(axis=1), -1)
