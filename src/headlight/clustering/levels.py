"""How many clusters: the levels at which different partitions of the data come out the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import sample
from headlight.clustering.graph import Spectrum
from headlight.clustering.information import edge_shares, merges
from headlight.clustering.k_means import k_means
from headlight.clustering.small_groups import leading_components, likeness

MEANS = np.geomspace(1e-4, 200, 400)  # of the Poisson counts in `_chance_information`


@dataclass(frozen=True)
class Level:
    """A number of clusters, and what speaks for it.

    Arguments:
        n_clusters: K, at least 2.
        score: 1 − (1 − agreement · modularity) · K^0.02, 1 at most, higher is better.
        agreement: adjusted mutual information of partitions found independently; 1 if they are the
            same, 0 if they share no more than chance.
        modularity: share of the graph's edges within a cluster, less what chance gives.
    """

    n_clusters: int
    score: float
    agreement: float
    modularity: float


@dataclass(frozen=True)
class ClusterEstimate:
    """An estimate of the number of clusters.

    Arguments:
        n_clusters: the best level's.
        low, high: the numbers around it that are nearly as good, at most 4 times fewer or more.
        levels: 1 to 5, best first, each at least twice or half another.
        curve: every number tried, smallest first.
    """

    n_clusters: int
    low: int
    high: int
    levels: tuple[Level, ...]
    curve: tuple[Level, ...]


def estimate_clusters(
    spectra: Sequence[Spectrum], constants: Constants = ROBUST
) -> ClusterEstimate:
    """The number of clusters at which partitions agree and the neighbour graphs fall apart.

    In every feature space the rows are put in many small groups by k-means, from several seeds.
    Each grouping is merged step by step to what explains the space's graph best (`merges`), which
    gives it a partition for every K. Where K is a level of the data, partitions from other seeds
    and spaces come out the same (stability: "Clustering stability: an overview", von Luxburg 2010),
    and few edges of the graphs leave a cluster ("Modularity and community structure in networks",
    Newman 2006). Stability alone favours very many or very few, modularity an intermediate number
    whatever the data; their product peaks at levels. What the product lacks to 1 counts K^0.02
    times: of equals the smaller K.

    Arguments:
        spectra: of the same rows in the same order, one a feature space, 1 or more.
        constants: of the method.

    Returns:
        An estimate of at most 3/4 of the `level_groups`.
    """
    groupings = _groupings(spectra, constants)
    n_groups = min(len(one.sizes) for one in groupings)
    if n_groups < 2:  # all rows are equal
        only = Level(2, 0.0, 0.0, 0.0)
        return ClusterEstimate(2, 2, 2, (only,), (only,))
    evidence = _Evidence(groupings, constants)
    tried = _numbers(max(2, int(n_groups * constants.level_share)))
    curve = [evidence.at(k) for k in tried]
    # Between the numbers tried, only near the levels.
    near = {k for one in _levels(curve, constants) for k in _between(tried, one.n_clusters)}
    curve = sorted([*curve, *map(evidence.at, near)], key=lambda one: one.n_clusters)
    levels = _levels(curve, constants)
    low, high = _range(levels[0], curve, constants)
    return ClusterEstimate(levels[0].n_clusters, low, high, levels, tuple(curve))


@dataclass(frozen=True)
class _Grouping:
    """Many small groups of the rows, found in one space.

    Arguments:
        space: which.
        labels: int64 (n,), 0 to M − 1.
        sizes: float64 (M,), shares of the rows.
        shares: (spaces, M, M), of the edges of every space's graph (`edge_shares`).
        likeness: float64 (M, M), sum 1: which groups are near each other, however far.
    """

    space: int
    labels: np.ndarray
    sizes: np.ndarray
    shares: np.ndarray
    likeness: np.ndarray

    def partitions(self, constants: Constants) -> list[np.ndarray]:
        """For each K, 0 to M, the cluster of every group: int64 (M,); of K < 1 the same as of 1."""
        # Where the graph is in parts, no edge says which of them belong together.
        among, apart = self.shares[self.space], constants.level_likeness
        cluster = np.arange(len(self.sizes))
        found = [cluster]
        shares = (1 - apart) * among + apart * self.likeness
        for a, b, *_ in merges(shares, constants.information_power):
            cluster = np.where(cluster == b, a, cluster)
            found.append(cluster)
        numbered = [np.unique(one, return_inverse=True)[1] for one in reversed(found)]
        return [numbered[0], *numbered]


class _Evidence:
    """What speaks for any number of clusters, as `Level.score` weighs it."""

    def __init__(self, groupings: Sequence[_Grouping], constants: Constants) -> None:
        self._groupings, self._constants = groupings, constants
        self._partitions = [one.partitions(constants) for one in groupings]
        self._tables = {
            (i, j): _table(one, other)
            for (i, one), (j, other) in combinations(enumerate(groupings), 2)
        }

    def at(self, k: int) -> Level:
        parts = [of_one[k] for of_one in self._partitions]
        modularity = [
            _modularity(_summed(J, part, part, k))
            for one, part in zip(self._groupings, parts, strict=True)
            for J in one.shares
        ]
        same: list[float] = []
        across: list[float] = []
        n = len(self._groupings[0].labels)
        for (i, j), table in self._tables.items():
            value = _adjusted_information(_summed(table, parts[i], parts[j], k), n)
            (same if self._groupings[i].space == self._groupings[j].space else across).append(value)
        # Seeds and spaces count the same, whatever their number of pairs.
        a = max(0.0, float(np.mean([np.mean(kind) for kind in (same, across) if kind])))
        m = float(np.mean(modularity))
        return Level(k, 1 - (1 - a * m) * k**self._constants.level_parsimony, a, m)


def _groupings(spectra: Sequence[Spectrum], constants: Constants) -> list[_Grouping]:
    n = len(spectra[0].graph.points)
    # Of fewer neighbours on little data, as in `Graph.near`.
    graphs = [one.graph.near(4)[:, : constants.graph_neighbors] for one in spectra]
    wanted = min(constants.level_groups, max(n // constants.level_group_rows, min(n, 10)))
    seeds = constants.level_seeds if len(spectra) > 1 else constants.level_seeds_alone
    drawn = sample(n, max(wanted, constants.level_sample))
    found = []
    for space, one in enumerate(spectra):
        rows = leading_components(one.graph.points.plain, constants.level_directions)
        for seed in range(seeds):
            centres = k_means(rows[drawn], wanted, seed)[0]
            kept, labels = np.unique(_nearest(rows, centres), return_inverse=True)
            sizes = np.bincount(labels) / n
            shares = [edge_shares(labels, near, len(kept)) for near in graphs]
            alike = likeness(centres[kept], sizes)
            found.append(_Grouping(space, labels, sizes, np.stack(shares), alike))
    return found


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(np.ascontiguousarray(centres))
    return np.asarray(index.search(rows, 1)[1][:, 0])


def _numbers(most: int) -> list[int]:
    """2 to `most`, an eighth apart."""
    found = [2]
    while (following := max(found[-1] + 1, round(found[-1] * 1.12))) <= most:
        found.append(following)
    return found


def _between(tried: Sequence[int], k: int) -> list[int]:
    """Numbers not tried near one that was."""
    i = tried.index(k)
    low, high = tried[max(0, i - 1)], tried[min(len(tried) - 1, i + 1)]
    return sorted(set(range(low, high + 1)) - set(tried))


def _table(one: _Grouping, other: _Grouping) -> np.ndarray:
    """Share of the rows in group i of one and group j of the other: float64 (M, M')."""
    shape = len(one.sizes), len(other.sizes)
    pairs = one.labels * shape[1] + other.labels
    return np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape) / len(pairs)


def _levels(curve: Sequence[Level], constants: Constants) -> tuple[Level, ...]:
    """The best maxima of the curve, apart from each other."""

    def apart(one: Level) -> bool:
        ratios = [one.n_clusters / other.n_clusters for other in found]
        return all(max(r, 1 / r) >= constants.level_distance for r in ratios)

    found: list[Level] = []
    ranked = sorted(curve, key=lambda one: -one.score)
    place = {one.n_clusters: i for i, one in enumerate(curve)}
    for one in ranked:
        i = place[one.n_clusters]
        around = curve[max(0, i - 2) : i + 3]
        if one.score >= max(k.score for k in around) and apart(one):
            found.append(one)
    least = min(constants.level_least * found[0].score, found[0].score)
    return tuple(one for one in found if one.score >= least)[: constants.most_levels]


def _range(best: Level, curve: Sequence[Level], constants: Constants) -> tuple[int, int]:
    """Smallest and largest K that is nearly as good, with those between it and the next tried."""
    lacks = (1 - best.score) * (1 + constants.level_slack)
    numbers = [one.n_clusters for one in curve]
    good = [i for i, one in enumerate(curve) if 1 - one.score <= lacks]
    first, last = min(good), max(good)
    low = numbers[first - 1] + 1 if first else numbers[0]
    high = numbers[last + 1] - 1 if last + 1 < len(numbers) else numbers[-1]
    factor, k = constants.level_factor, best.n_clusters
    return max(low, int(np.ceil(k / factor))), min(high, int(k * factor))


def _summed(table: np.ndarray, rows: np.ndarray, columns: np.ndarray, k: int) -> np.ndarray:
    """A table of groups as one of clusters: float64 (K, K)."""
    return np.eye(k)[rows].T @ table @ np.eye(k)[columns]


def _modularity(shares: np.ndarray) -> float:
    return float(np.trace(shares) - (shares.sum(axis=1) ** 2).sum())


def _adjusted_information(table: np.ndarray, n: int) -> float:
    """Adjusted mutual information of two partitions, with the mean of their entropies.

    Source: "Information theoretic measures for clusterings comparison", Vinh, Epps and Bailey 2010.

    Arguments:
        table: (K, K), share of the n rows that are in cluster i of one and j of the other.
    """
    a, b = table.sum(axis=1), table.sum(axis=0)
    some = table > 0
    mutual = float((table[some] * np.log(table[some] / np.outer(a, b)[some])).sum())
    chance = _chance_information(a, b, n)
    most = (_entropy(a) + _entropy(b)) / 2 - chance
    return (mutual - chance) / most if most > 1e-9 else 0.0


def _chance_information(a: np.ndarray, b: np.ndarray, n: int) -> float:
    """Expected mutual information of two random partitions with clusters of these shares.

    A count in the table is nearly Poisson, of mean λ = n a b, times (1 − a)(1 − b) for the fixed
    margins; E[X log X] − λ log λ is read from a table. Exact sums take minutes.
    """
    means = n * np.outer(a, b)
    excess = np.where(means > MEANS[-1], 0.5, np.interp(means, MEANS, _EXCESS))
    return float((excess * np.outer(1 - a, 1 - b)).sum() / n)


def _poisson_excess() -> np.ndarray:
    counts = np.arange(1, 600)
    logs = np.cumsum(np.log(counts))
    chances = np.exp(counts * np.log(MEANS[:, None]) - MEANS[:, None] - logs)
    return (chances * counts * np.log(counts)).sum(axis=1) - MEANS * np.log(MEANS)


_EXCESS = _poisson_excess()


def _entropy(shares: np.ndarray) -> float:
    return -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
