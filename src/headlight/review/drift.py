"""Groups whose new images differ from those they had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.runs.projected import centre_of

USUAL = 0.05  # share of a group's earlier images that lie beyond the bound
LEAST = 5  # new images, and twice as many earlier ones, below which nothing is said
CHANCE = 1e-3  # that as many new images lie there if they are like the earlier ones
SHARE = 0.25  # of the new images: a significant difference may be a small one


@dataclass(frozen=True)
class Drift:
    """A group that has drifted.

    Arguments:
        group: its number.
        beyond: new images farther from the centre of the earlier ones than 95 % of these.
        joined: new images in all.
    """

    group: int
    beyond: int
    joined: int


def drifted(
    known: np.ndarray, labels: np.ndarray, rows: np.ndarray, groups: np.ndarray
) -> list[Drift]:
    """Groups of whose new images too many lie far from the centre of the earlier ones.

    Of images like the earlier ones 5 % lie beyond the bound; a binomial test of their number.

    Arguments:
        known: float16 (n, d), earlier images, of length 1.
        labels: int (n,), their groups.
        rows: float16 (m, d), new images.
        groups: int (m,), theirs.

    Returns:
        One each, the largest share first.
    """
    from scipy.stats import binom

    found = []
    for group in np.unique(groups).tolist():
        earlier, joined = np.flatnonzero(labels == group), np.flatnonzero(groups == group)
        if len(joined) < LEAST or len(earlier) < 2 * LEAST:
            continue
        centre = centre_of(known, earlier)
        bound = np.quantile(known[earlier].astype(np.float32) @ centre, USUAL)
        beyond = int((rows[joined].astype(np.float32) @ centre < bound).sum())
        chance = binom.sf(beyond - 1, len(joined), USUAL)
        if chance < CHANCE and beyond >= SHARE * len(joined):
            found.append(Drift(group, beyond, len(joined)))
    return sorted(found, key=lambda one: -one.beyond / one.joined)
