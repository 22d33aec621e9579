"""How clusters relate: the tree of merges, and the evidence for their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.errors import HeadlightError
from headlight.runs import Run
from headlight.runs.info import FitInfo

TREE_WIDTH = 1000
LEAST = -3.0  # log10 of the density below which clusters count as unrelated


@dataclass(frozen=True, slots=True)
class Tree:
    """A dendrogram, root on the left, one row per cluster.

    Arguments:
        leaves: cluster numbers as fitted, top to bottom.
        branches: SVG path data of each merge, x from 0 (root) to `TREE_WIDTH` (leaves), a row
            being 1 high.
        colours: cluster whose colour each branch has: the largest (lowest number) in it.
    """

    leaves: list[int]
    branches: list[str]
    colours: list[int]


@dataclass(frozen=True, slots=True)
class Curve:
    """Why this number of clusters: the score of every number tried.

    Arguments:
        line: SVG points, x from 0 to 1000, the logarithm of the number, y from 0 to 300.
        chosen, low, high: numbers of clusters; x_low, x_high: in the same units as ``line``.
        levels: (number, x) of those at which the data fall apart, best first.
        first, last: smallest and largest number tried.
    """

    line: str
    chosen: int
    low: int
    high: int
    x_low: float
    x_high: float
    levels: list[tuple[int, float]]
    first: int
    last: int


def tree_of(run: Run) -> Tree | None:
    """The tree of merges of the clusters as fitted; None where the run keeps none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(run.file("model.safetensors"), framework="numpy") as file:
            merges = file.get_tensor("linkage")
    except (OSError, SafetensorError, HeadlightError):
        return None
    return draw_tree(merges) if len(merges) else None


def draw_tree(merges: np.ndarray) -> Tree:
    """Lay out a hierarchy.

    Arguments:
        merges: float64 (K − 1, 4), see `headlight.clustering.hierarchy.merge_hierarchy`.

    Returns:
        Merges of dense, alike clusters near the leaves; those of unrelated ones at the root.
    """
    k = len(merges) + 1
    height = np.maximum.accumulate(_dissimilarity(merges[:, 2]))
    span = max(float(height[-1]), 1e-9)
    x_of = [float(TREE_WIDTH)] * k
    order = _leaves(merges, k)
    y_of = {leaf: row + 0.5 for row, leaf in enumerate(order)}
    first = list(range(k))
    branches, colours = [], []
    for step, (a, b) in enumerate(merges[:, :2].astype(int).tolist()):
        x = TREE_WIDTH * (1 - 0.97 * float(height[step]) / span)
        top, bottom = sorted((a, b), key=y_of.__getitem__)
        branches.append(
            f"M{x_of[top]:.1f} {y_of[top]:.3f}H{x:.1f}V{y_of[bottom]:.3f}H{x_of[bottom]:.1f}"
        )
        x_of.append(x)
        y_of[k + step] = (y_of[top] + y_of[bottom]) / 2
        first.append(min(first[a], first[b]))
        colours.append(first[-1])
    return Tree(order, branches, colours)


def curve_of(fit: FitInfo) -> Curve | None:
    """The curve behind an automatic number of clusters; None where it was given.

    Arguments:
        fit: of ``run.json``.
    """
    if not fit.n_clusters_range or not fit.n_clusters_curve:
        return None
    numbers, scores = (np.array(one, np.float64) for one in zip(*fit.n_clusters_curve, strict=True))
    low, high = fit.n_clusters_range
    first, last = int(numbers[0]), int(numbers[-1])
    wide = np.log(last / first) or 1.0
    tall = np.ptp(scores) or 1.0

    def at(number: float) -> float:
        return round(1000 * min(max(float(np.log(number / first) / wide), 0), 1), 1)

    y = 300 * (1 - (scores - scores.min()) / tall)
    return Curve(
        line=" ".join(f"{at(k)},{v:.1f}" for k, v in zip(numbers, y, strict=True)),
        chosen=fit.n_clusters,
        low=low,
        high=high,
        x_low=at(low),
        x_high=at(high),
        levels=[(k, at(k)) for k in fit.n_clusters_levels],
        first=first,
        last=last,
    )


def _dissimilarity(distance: np.ndarray) -> np.ndarray:
    """0 for the densest merge, on a log scale: densities span several powers of ten."""
    density = np.maximum(1 / np.maximum(distance, 1e-12) - 1, 10**LEAST)
    log = np.log10(density)
    return log.max() - log + 0.15


def _leaves(merges: np.ndarray, k: int) -> list[int]:
    """Clusters in an order in which branches don't cross."""
    below: dict[int, list[int]] = {i: [i] for i in range(k)}
    for step, (a, b) in enumerate(merges[:, :2].astype(int).tolist()):
        below[k + step] = [leaf for child in sorted((a, b), key=lambda c: min(below[c]))
                           for leaf in below[child]]  # fmt: skip
    return below[2 * k - 2]
