"""Two fits of a run beside each other: which groups stay, and which images change group."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.review.images import Images
from headlight.review.review import Review
from headlight.runs.fits import fits_of, run_at
from headlight.runs.info import FitInfo
from headlight.runs.run import Run

EXAMPLES = 3  # paths of a flow, for people


@dataclass(frozen=True)
class Flow:
    """Images that are together before, and together after.

    Arguments:
        before: their group; None if they are only in the fit after.
        after: their group; None if they are only in the fit before.
        rows: int64 (m,) of the assignments before (after, if ``before`` is None), surest first.
        stays: the two groups are the same one.
    """

    before: int | None
    after: int | None
    rows: np.ndarray
    stays: bool


@dataclass(frozen=True)
class Side:
    """One of the two fits, as reviewed.

    Arguments:
        fit: its record.
        names: group → name, of those that have images.
        sizes: group → number of images.
    """

    fit: FitInfo
    names: dict[int, str]
    sizes: dict[int, int]


@dataclass(frozen=True)
class Comparison:
    """What differs between two fits.

    Arguments:
        before: the fit looked at first.
        after: the other one.
        flows: all of them, the largest first; each image is in one.
        partner: group before → the same group after, of those that are in both.
        families: groups before and after that became each other; see `families_of`.
        paths: of the images of the two fits, (n,) strings each.
    """

    before: Side
    after: Side
    flows: tuple[Flow, ...]
    partner: dict[int, int]
    families: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    paths: tuple[pa.ChunkedArray, pa.ChunkedArray]

    @property
    def images(self) -> int:
        """Images that are in both fits."""
        return _total(f for f in self.flows if f.before is not None and f.after is not None)

    @property
    def changed(self) -> int:
        """Images that are in both, in another group."""
        return self.images - _total(f for f in self.flows if f.stays)

    @property
    def only_before(self) -> int:
        """Images that the fit after doesn't have."""
        return _total(f for f in self.flows if f.after is None)

    @property
    def only_after(self) -> int:
        """Images that the fit before doesn't have."""
        return _total(f for f in self.flows if f.before is None)

    def examples(self, flow: Flow, most: int = EXAMPLES) -> list[str]:
        """Paths of the images of ``flow`` that are the surest to be where they are after."""
        paths = self.paths[1 if flow.before is None else 0]
        return [paths[row].as_py() for row in flow.rows[:most].tolist()]

    @property
    def sentence(self) -> str:
        """Such as ``23 groups → 31: 18 stay, 3 split into 8, 5 are new; 412 of 5,000 images …``."""
        before, after = len(self.before.names), len(self.after.names)
        parts = [f"{counted(before, 'group')} → {after:,}: {self._groups_in_words()}"]
        moved, all_of = self.changed, counted(self.images, "image")
        subject = f"{moved:,} of {all_of} {_s(moved, 'change')}" if moved else "no image changes"
        parts.append(f"{subject} group")
        gone, new = self.only_before, self.only_after
        if gone:
            parts.append(f"{counted(gone, 'image')} {_are(gone)} only in the first")
        if new:
            parts.append(f"{counted(new, 'image')} {_are(new)} only in the second")
        return "; ".join(parts)

    def _groups_in_words(self) -> str:
        found: dict[str, tuple[int, int]] = {}
        for olds, news in self.families:
            fate = _fate(len(olds), len(news))
            p, q = found.get(fate, (0, 0))
            found[fate] = p + len(olds), q + len(news)
        if set(found) == {"stay"}:
            return "all stay"
        words: dict[str, Callable[[int, int], str]] = {
            "stay": lambda p, q: f"{p:,} {_s(p, 'stay')}",
            "split": lambda p, q: f"{p:,} {_s(p, 'split')} into {q:,}",
            "merge": lambda p, q: f"{p:,} merge into {q:,}",
            "mix": lambda p, q: f"{p:,} mix into {q:,} others",
            "go": lambda p, q: f"{p:,} {_are(p)} dissolved",
            "new": lambda p, q: f"{q:,} {_are(q)} new",
        }
        return ", ".join(say(*found[fate]) for fate, say in words.items() if fate in found)


def compare_fits(run: Run, before: str | None = None, after: str | None = None) -> Comparison:
    """Compare two fits of a run, each with the edits that apply to it.

    Arguments:
        run: with two fits or more.
        before: id of a fit; if left out, the current one if there is a newer one, or else the one
            before it.
        after: id of a fit; if left out, the newest, or the current one if ``before`` is given.

    Raises:
        HeadlightError: there are no two fits, no such fit, or a file of one is damaged.
    """
    if before is None:
        known = [record.id for record, _ in fits_of(run)]
        if len(known) < 2:
            raise HeadlightError(
                f"{run.path} has one fit only, so there is nothing to compare: "
                f"`headlight fit {run.path} -k N` makes another, and keeps this one"
            )
        after = known[-1]
        before = run.fit.id if run.fit.id != after else known[-2]
    return compare(*(Review(run_at(run, fit)) for fit in (before, after or run.fit.id)))


def compare(before: Review, after: Review) -> Comparison:
    """Compare two reviewed fits of a run.

    Images are the same if their content is, wherever they lie.

    Raises:
        HeadlightError: a file of one is damaged.
    """
    a, b = before.run.assignments, after.run.assignments
    there, known = Images(after.keys, []).first_rows(before.keys)
    both, gone = np.flatnonzero(known), np.flatnonzero(~known)
    new = np.flatnonzero(~Images(before.keys, []).first_rows(after.keys)[1])
    then = after.labels[there[both]]
    sides = _side(before), _side(after)
    partner, families = match_groups(
        before.labels[both], then, sides[0].names, sides[1].names, _same_series(before, after)
    )
    old_sure, new_sure = (np.nan_to_num(table["confidence"].to_numpy()) for table in (a, b))
    flows = [
        Flow(i, j, both[rows], partner.get(i) == j)
        for (i, j), rows in _together(before.labels[both], then, new_sure[there[both]])
    ]
    lost, came = before.labels[gone], after.labels[new]
    for (i, _), rows in _together(lost, np.zeros_like(lost), old_sure[gone]):
        flows.append(Flow(i, None, gone[rows], False))
    for (_, j), rows in _together(np.zeros_like(came), came, new_sure[new]):
        flows.append(Flow(None, j, new[rows], False))
    flows.sort(key=lambda flow: -len(flow.rows))
    return Comparison(*sides, tuple(flows), partner, families, (a["path"], b["path"]))


def match_groups(
    before: np.ndarray,
    after: np.ndarray,
    groups_before: Iterable[int],
    groups_after: Iterable[int],
    by_number: bool,
) -> tuple[dict[int, int], tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]]:
    """Which groups of one clustering are which of another one.

    Arguments:
        before: int (m,), the group of each image.
        after: int (m,), the group of each image.
        groups_before: all there are, also those of other images.
        groups_after: all there are.
        by_number: a group in both is the same one. The others are paired so that as few images as
            can be change group, where a pair shares more than half of one of the two.

    Returns:
        Pairs, before → after; and families: groups before and after that became each other.
        A group without a partner belongs to the one that took most of it, or that it mostly came
        from, if that is more than half; alone it is ((group,), ()) or ((), (group,)).
    """
    from scipy.optimize import linear_sum_assignment

    olds, news = sorted(groups_before), sorted(groups_after)
    counts = np.zeros((len(olds), len(news)), np.int64)
    np.add.at(counts, (np.searchsorted(olds, before), np.searchsorted(news, after)), 1)
    of_old, of_new = counts.sum(axis=1), counts.sum(axis=0)
    same = sorted({*olds} & {*news}) if by_number else []
    pairs = [(olds.index(k), news.index(k)) for k in same]
    left = [i for i, k in enumerate(olds) if k not in same]
    right = [j for j, k in enumerate(news) if k not in same]
    for a, b in zip(*linear_sum_assignment(-counts[np.ix_(left, right)]), strict=True):
        i, j = left[a], right[b]
        if 2 * counts[i, j] > min(of_old[i], of_new[j]):
            pairs.append((i, j))
    links = list(pairs)
    for i in set(range(len(olds))) - {i for i, _ in pairs}:
        if of_old[i] and 2 * counts[i].max() > of_old[i]:
            links.append((i, int(counts[i].argmax())))
    for j in set(range(len(news))) - {j for _, j in pairs}:
        if of_new[j] and 2 * counts[:, j].max() > of_new[j]:
            links.append((int(counts[:, j].argmax()), j))
    families = _connected(len(olds), len(news), links)
    named = tuple(
        (tuple(olds[i] for i in some), tuple(news[j] for j in others)) for some, others in families
    )
    partner = {olds[i]: news[j] for i, j in pairs}
    partner |= {one[0]: other[0] for one, other in named if len(one) == len(other) == 1}
    return partner, named


def _connected(
    lefts: int, rights: int, links: list[tuple[int, int]]
) -> list[tuple[list[int], list[int]]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (rows, columns + lefts)), shape=(lefts + rights,) * 2)
    number, member = connected_components(graph, directed=False)
    families: list[tuple[list[int], list[int]]] = [([], []) for _ in range(number)]
    for node, family in enumerate(member.tolist()):
        families[family][node >= lefts].append(node - lefts if node >= lefts else node)
    return families


def _together(
    before: np.ndarray, after: np.ndarray, sure: np.ndarray
) -> Iterable[tuple[tuple[int, int], np.ndarray]]:
    """Each pair of groups that some images have, and the places of those, the surest first."""
    if not len(before):
        return
    order = np.lexsort((-sure, after, before))
    pairs = np.stack([before[order], after[order]])
    starts = np.flatnonzero(np.r_[True, (np.diff(pairs) != 0).any(axis=0)])
    for start, rows in zip(starts, np.split(order, starts[1:]), strict=True):
        yield (int(pairs[0, start]), int(pairs[1, start])), rows


def _side(review: Review) -> Side:
    groups, sizes = np.unique(review.labels, return_counts=True)
    names = {group: review.names[group] for group in groups.tolist()}
    return Side(review.run.fit, names, dict(zip(groups.tolist(), sizes.tolist(), strict=True)))


def _same_series(one: Review, other: Review) -> bool:
    return one.run.fit.review_id == other.run.fit.review_id


def _total(flows: Iterable[Flow]) -> int:
    return sum(len(flow.rows) for flow in flows)


def _fate(before: int, after: int) -> str:
    if not after:
        return "go"
    if not before:
        return "new"
    if before == 1:
        return "stay" if after == 1 else "split"
    return "merge" if after == 1 else "mix"


def _s(count: int, verb: str) -> str:
    return verb + "s" if count == 1 else verb


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
