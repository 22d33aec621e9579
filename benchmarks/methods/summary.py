"""The arithmetic of the summary: means over data sets, wins, the worst of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, stdev

from benchmarks.methods.data import EXTRA
from benchmarks.methods.results import Row

OURS = "headlight_robust"
AUTO = "headlight_auto"
UMAP = "umap_kmeans"
REFERENCES = ("k_means", UMAP)
# Times of less are mostly overhead.
LARGE = 5000


@dataclass(frozen=True)
class Standing:
    """How a method did over all data sets of one balance.

    Arguments:
        method, views: the contestant; views are those it was given.
        sets: number of data sets it was measured on.
        acc, nmi: mean over sets of the mean over seeds.
        wins: number of sets on which no other contestant has a higher ACC.
        worst: the lowest, over sets, of its ACC minus the better of k-means and UMAP + k-means,
            each the mean over seeds, with the set; None where these were not measured.
        spread: the largest standard deviation of ACC over seeds, with the set; None of one seed.
        time: seconds of the fit ÷ those of UMAP + k-means with the same seed in the same process,
            mean over sets above 5,000 rows; None if there are none.
        memory: the largest growth of memory ÷ size of the features, on the same sets.
    """

    method: str
    views: str
    sets: int
    acc: float
    nmi: float
    wins: int
    worst: tuple[float, str] | None
    spread: tuple[float, str] | None
    time: float | None
    memory: float | None


def comparable(rows: Iterable[Row]) -> list[Row]:
    """Rows that succeeded, of images fitted on, of one set for each kind of images."""
    return [
        r for r in rows if r["error"] is None and r["split"] == "fit" and r["data"] not in EXTRA
    ]


def contestants(rows: Iterable[Row], views: str) -> dict[str, list[Row]]:
    """The rows of each method, on plain features (``none``) or on the best that it can use.

    With views, a method that has no use for them takes part with plain features. That which
    estimates the number of clusters is left out.
    """
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["method"] != AUTO and row["views"] in {views, "none"}:
            found[row["method"]].append(row)
    return {
        name: [r for r in its if r["views"] == views] or its for name, its in sorted(found.items())
    }


def standings(rows: Iterable[Row], balance: str, views: str) -> list[Standing]:
    """All contestants, the highest mean ACC first.

    Arguments:
        rows: of results.
        balance: which of them.
        views: see `contestants`.
    """
    good = [row for row in comparable(rows) if row["balance"] == balance]
    teams = contestants(good, views)
    acc = {name: by_set(its, "acc") for name, its in teams.items()}
    best: dict[str, float] = defaultdict(float)
    for levels in acc.values():
        for data, level in levels.items():
            best[data] = max(best[data], level)
    reference = _reference(good)
    clock = {_turn(row): row["seconds"] for row in good if row["method"] == UMAP}
    found = []
    for name, its in teams.items():
        levels = acc[name]
        gaps = [(levels[data] - reference[data], data) for data in levels if data in reference]
        spreads = [
            (stdev(values), data)
            for data, values in _grouped(its, "acc").items()
            if len(values) > 1
        ]
        large = [row for row in its if row["n"] > LARGE]
        ratios = by_set(
            [r | {"ratio": r["seconds"] / clock[_turn(r)]} for r in large if _turn(r) in clock],
            "ratio",
        )
        memory = [r["memory_mib"] / r["input_mib"] for r in large if r["memory_mib"] is not None]
        found.append(
            Standing(
                name,
                its[0]["views"],
                len(levels),
                mean(levels.values()),
                mean(by_set(its, "nmi").values()),
                sum(level == best[data] for data, level in levels.items()),
                min(gaps, default=None),
                max(spreads, default=None),
                mean(ratios.values()) if ratios else None,
                max(memory, default=None),
            )
        )
    return sorted(found, key=lambda one: -one.acc)


@dataclass(frozen=True)
class Duel:
    """Ours and the best peer on one data set: mean ACC over seeds."""

    data: str
    ours: float
    peer: str
    theirs: float


def duels(rows: Iterable[Row], balance: str, views: str) -> list[Duel]:
    """Ours against the best of the peers on each data set, peers as in `contestants`."""
    good = [row for row in comparable(rows) if row["balance"] == balance]
    acc = {name: by_set(its, "acc") for name, its in contestants(good, views).items()}
    peers = {name: levels for name, levels in acc.items() if not name.startswith("headlight")}
    found = []
    for data, ours in acc.get(OURS, {}).items():
        theirs = {name: levels[data] for name, levels in peers.items() if data in levels}
        if theirs:
            best = max(theirs, key=lambda name: theirs[name])
            found.append(Duel(data, ours, best, theirs[best]))
    return found


@dataclass(frozen=True)
class Count:
    """One estimate of the number of clusters, and the seeds that gave it."""

    data: str
    balance: str
    views: str
    seeds: tuple[int, ...]
    true: int
    estimate: int
    low: int
    high: int
    levels: tuple[int, ...]

    @property
    def within_range(self) -> bool:
        """Whether the true number is in the range."""
        return self.low <= self.true <= self.high

    @property
    def near(self) -> bool:
        """Whether the estimate is within 30 % of the true number."""
        return abs(self.estimate - self.true) <= 0.3 * self.true


def counts(rows: Iterable[Row]) -> list[Count]:
    """Estimates, those that are alike together."""
    alike: dict[tuple, list[Row]] = defaultdict(list)
    for row in comparable(rows):
        if row["method"] == AUTO:
            names = ("data", "balance", "views", "n_clusters", "estimate", "low", "high")
            alike[*(row[name] for name in names), tuple(row["levels"])].append(row)
    return [
        Count(
            data=data,
            balance=balance,
            views=views,
            seeds=tuple(row["seed"] for row in its),
            true=true,
            estimate=estimate,
            low=low,
            high=high,
            levels=levels,
        )
        for (data, balance, views, true, estimate, low, high, levels), its in sorted(alike.items())
    ]


def by_set(rows: Iterable[Row], name: str) -> dict[str, float]:
    """The mean over seeds on each data set, of rows that have such a figure."""
    return {data: mean(values) for data, values in _grouped(rows, name).items()}


def _grouped(rows: Iterable[Row], name: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row[name] is not None:
            values[row["data"]].append(row[name])
    return dict(sorted(values.items()))


def _reference(rows: list[Row]) -> dict[str, float]:
    """On each data set that both references were measured on, the better one's mean ACC."""
    first, second = (
        by_set([row for row in rows if row["method"] == name], "acc") for name in REFERENCES
    )
    return {data: max(first[data], second[data]) for data in first.keys() & second.keys()}


def _turn(row: Row) -> tuple:
    return row["data"], row["seed"], row["process"]
