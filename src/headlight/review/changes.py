"""What an edit changes, computed before it is applied, so that it can be undone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headlight.errors import HeadlightError
from headlight.review.log import LONGEST_NAME, Edit

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, line ends
_MOST = 2**31 - 2


@dataclass
class ReviewState:
    """Clusters as they are after some edits.

    Arguments:
        labels: int32 (n,), the cluster of each row.
        outlier: bool (n,), marked as an outlier by a person.
        by_hand: bool (n,), moved by hand.
        unseen: bool (n,), brought by an update, and nobody has looked at it yet.
        names: of the clusters there are.
        done: those marked as reviewed.
        proposed: those that an update proposed and nobody has accepted.
        next_cluster: the first number that no cluster has had.
        absent: names of clusters that edits of other fits speak of, and that aren't here.
    """

    labels: np.ndarray
    outlier: np.ndarray
    by_hand: np.ndarray
    unseen: np.ndarray
    names: dict[int, str]
    done: set[int]
    proposed: set[int]
    next_cluster: int
    absent: dict[int, str] = field(default_factory=dict)


@dataclass
class Change:
    """The difference between two states.

    Arguments:
        rows: int32 (m,), whose labels change, from ``labels[0]`` to ``labels[1]``, int32 (m,).
        by_hand: bool (m,) before and after, of the same rows.
        marked: int32 (o,), rows whose outlier mark changes to ``mark``.
        seen: int32 (s,), rows that are looked at for the first time.
        names: cluster → name before and after, None where it isn't there.
        done: clusters whose mark is toggled.
        proposed: clusters that are accepted or dismissed.
        absent: see `ReviewState`; never taken back.
    """

    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    labels: tuple[Any, Any] = ((), ())
    by_hand: tuple[Any, Any] = (False, False)
    marked: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    mark: bool = True
    seen: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    names: dict[int, tuple[str | None, str | None]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    proposed: set[int] = field(default_factory=set)
    absent: dict[int, str] = field(default_factory=dict)

    def apply(self, state: ReviewState, back: bool = False) -> None:
        """Change ``state`` in place; ``back`` takes the change back."""
        side = 0 if back else 1
        state.labels[self.rows] = self.labels[side]
        state.by_hand[self.rows] = self.by_hand[side]
        state.outlier[self.marked] = self.mark != back
        state.unseen[self.seen] = back
        for cluster, name in self.names.items():
            if (text := name[side]) is None:
                state.names.pop(cluster, None)
            else:
                state.names[cluster] = text
            state.next_cluster = max(state.next_cluster, cluster + 1)
        for cluster in self.absent:
            state.next_cluster = max(state.next_cluster, cluster + 1)
        state.absent |= self.absent
        state.done ^= self.done
        state.proposed ^= self.proposed

    def clusters(self, labels: np.ndarray) -> list[int]:
        """All clusters it concerns, ascending, also those there are only before or after.

        Arguments:
            labels: int32 (n,), clusters when it was made.
        """
        rows = np.concatenate([self.marked, self.seen])
        numbers = [np.unique(part).tolist() for part in (*self.labels, labels[rows])]
        return sorted({*self.names, *self.done, *self.proposed}.union(*numbers))


def plan(state: ReviewState, edit: Edit, *, strict: bool = True) -> Change:
    """What ``edit`` would change in ``state``, which stays as it is.

    Arguments:
        state: the clusters.
        edit: see `headlight.review.log`; images as rows.
        strict: refuse what is impossible now. Else, for edits that were made on another fit, do
            what is left of it: images stay with what was said of them, and merges and splits apply
            to the clusters they named, where these are.

    Raises:
        HeadlightError: the edit is impossible, or makes no sense; the message says why.
    """
    kinds = {
        "rename": _rename,
        "merge": _merge,
        "split": _put,
        "move": _put,
        "assign": _put,
        "outlier": _outlier,
        "done": _done,
        "accept": _accept,
        "dismiss": _dismiss,
        "seen": _seen,
    }
    kind = edit.get("edit")
    if kind not in kinds:
        raise HeadlightError(f"there is no edit called {str(kind)[:40]!r}: update headlight")
    try:
        return kinds[kind](state, edit, strict)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise HeadlightError(f"an edit ({kind}) that can't be understood: {error}") from error


def clean_name(name: str) -> str:
    """A cluster's name in normal form: no leading, trailing or repeated spaces.

    Raises:
        HeadlightError: the name is empty, longer than 200 letters, or has invisible characters.
    """
    if not isinstance(name, str):
        raise HeadlightError("a cluster's name must be text")
    if any(unicodedata.category(c) in _UNSEEN for c in name):
        raise HeadlightError("a cluster's name can't hold line breaks or control characters")
    name = " ".join(name.split())
    if not name:
        raise HeadlightError("a cluster's name can't be empty")
    if len(name) > LONGEST_NAME:
        raise HeadlightError(f"a name of {len(name):,} letters is too long: {LONGEST_NAME} at most")
    return name


def _rename(state: ReviewState, edit: Edit, strict: bool) -> Change:
    cluster, name = _number(edit["cluster"]), clean_name(edit["name"])
    if not strict and cluster not in state.names:
        return Change(absent={cluster: name})
    _existing(state, cluster)
    if strict:
        _refuse_taken(state, name, cluster)
    change = Change(names={cluster: (state.names[cluster], name)})
    if cluster in state.proposed:
        change.proposed, change.seen = {cluster}, _unseen_of(state, cluster)
    return change


def _merge(state: ReviewState, edit: Edit, strict: bool) -> Change:
    clusters, into = {_number(c) for c in edit["clusters"]}, _number(edit["into"])
    if strict:
        for cluster in (into, *sorted(clusters)):
            _existing(state, cluster)
    gone = {c for c in clusters - {into} if c in state.names}
    if strict and (into not in clusters or not gone):
        raise HeadlightError("choose two clusters or more to merge")
    if not gone:
        return Change()
    inside = np.zeros(len(state.labels), bool)
    for cluster in gone:
        inside |= state.labels == cluster
    rows = np.flatnonzero(inside).astype(np.int32)
    before = state.labels[rows]
    names: dict[int, tuple[str | None, str | None]] = {
        c: (state.names[c], None) for c in sorted(gone)
    }
    if into not in state.names:
        names[into] = (None, _name_of(state, into))
    kept = state.by_hand[rows]
    return Change(
        rows,
        (before, into),
        (kept, kept),
        names=names,
        done=gone & state.done,
        proposed=gone & state.proposed,
        seen=rows[state.unseen[rows] & np.isin(before, list(state.proposed))],
    )


def _put(state: ReviewState, edit: Edit, strict: bool) -> Change:
    """Of `split`, `move` and `assign`: rows to clusters, some of them new."""
    kind = edit["edit"]
    new = {_number(cluster): clean_name(name) for cluster, name in edit["new"].items()}
    if strict:
        _refuse_new(state, new)
    rows, after = _targets(edit)
    if kind == "split":
        inside = state.labels[rows] == _number(edit["cluster"])
        if strict and not (_existing(state, edit["cluster"]) in state.names and inside.all()):
            raise HeadlightError("images to split off are no longer in the cluster: try again")
        rows, after = rows[inside], after[inside]
    names, absent = _made(state, new, set(np.unique(after).tolist()), strict)
    by_hand = kind == "move"
    # A person who puts an image where it is already says that it belongs there.
    differs = after != state.labels[rows]
    if by_hand:
        differs |= ~state.by_hand[rows]
    rows, after = rows[differs], after[differs]
    if strict and not len(rows):
        raise HeadlightError("these images are in that cluster already")
    kept = state.by_hand[rows]
    return Change(
        rows,
        (state.labels[rows], after),
        (kept, True if by_hand else kept if kind == "split" else False),
        names=names,
        absent=absent,
        seen=rows[state.unseen[rows]] if by_hand else np.empty(0, np.int32),
    )


def _outlier(state: ReviewState, edit: Edit, strict: bool) -> Change:
    value = bool(edit["value"])
    rows = np.asarray(edit["rows"], np.int32)
    rows = rows[state.outlier[rows] != value]
    if strict and not len(rows):
        what = "marked as outliers already" if value else "no outliers"
        raise HeadlightError(f"these images are {what}")
    return Change(marked=rows, mark=value, seen=rows[state.unseen[rows]])


def _done(state: ReviewState, edit: Edit, strict: bool) -> Change:
    cluster = _number(edit["cluster"])
    if strict:
        _existing(state, cluster)
    if (cluster in state.done) == bool(edit["value"]) or cluster not in state.names:
        if not strict:
            return Change()
        what = "done already" if edit["value"] else "not marked as done"
        raise HeadlightError(f"{_short(state.names[cluster])!r} is {what}")
    return Change(done={cluster})


def _accept(state: ReviewState, edit: Edit, strict: bool) -> Change:
    cluster = _number(edit["cluster"])
    if strict:
        _refuse_settled(state, cluster)
    if cluster not in state.proposed:
        return Change()
    return Change(proposed={cluster}, seen=_unseen_of(state, cluster))


def _dismiss(state: ReviewState, edit: Edit, strict: bool) -> Change:
    cluster = _number(edit["cluster"])
    if strict:
        _refuse_settled(state, cluster)
    if cluster not in state.names:
        return Change()
    rows, after = _targets(edit)
    inside = state.labels[rows] == cluster
    rows, after = rows[inside], after[inside]
    names, absent = _made(state, {}, set(np.unique(after).tolist()), strict)
    if len(rows) == int((state.labels == cluster).sum()):
        names[cluster] = (state.names[cluster], None)
    elif strict:
        raise HeadlightError("the group has changed meanwhile: try again")
    kept = state.by_hand[rows]
    return Change(
        rows,
        (state.labels[rows], after),
        (kept, kept),
        marked=rows[~state.outlier[rows]],
        names=names,
        absent=absent,
        done={cluster} & state.done,
        proposed={cluster} & state.proposed,
        seen=rows[state.unseen[rows]],
    )


def _seen(state: ReviewState, edit: Edit, strict: bool) -> Change:
    rows = np.asarray(edit["rows"], np.int32)
    rows = rows[state.unseen[rows]]
    if strict and not len(rows):
        raise HeadlightError("these images are not new, or were looked at already")
    return Change(seen=rows)


def _targets(edit: Edit) -> tuple[np.ndarray, np.ndarray]:
    """Rows and the cluster each goes to, int32 (m,)."""
    parts = [(_number(cluster), rows) for cluster, rows in edit["to"].items()]
    none = np.empty(0, np.int32)
    rows = np.concatenate([none, *(np.asarray(rows, np.int32) for _, rows in parts)])
    after = np.concatenate([none, *(np.full(len(rows), c, np.int32) for c, rows in parts)])
    if len(np.unique(rows)) < len(rows):
        raise HeadlightError("an image can't go to two clusters")
    return rows, after


def _refuse_new(state: ReviewState, new: dict[int, str]) -> None:
    for cluster, name in new.items():
        if cluster in state.names:
            raise HeadlightError(f"there is a cluster {cluster} already: try again")
        _refuse_taken(state, name, cluster)
        if any(name == other and cluster != c for c, other in new.items()):
            raise HeadlightError(f"two new clusters can't both be called {_short(name)!r}")


def _made(
    state: ReviewState, new: dict[int, str], wanted: set[int], strict: bool
) -> tuple[dict[int, tuple[str | None, str | None]], dict[int, str]]:
    """Names of the clusters to make, and of those that stay absent.

    Arguments:
        new: clusters that the edit makes.
        wanted: clusters that get rows.
    """
    names: dict[int, tuple[str | None, str | None]] = {}
    absent = {}
    for cluster, name in new.items():
        if strict or cluster in wanted:
            names[cluster] = (state.names.get(cluster), name)
        elif cluster not in state.names:
            absent[cluster] = name
    for cluster in sorted(wanted - names.keys() - state.names.keys()):
        if strict:
            _existing(state, cluster)
        names[cluster] = (None, _name_of(state, cluster))
    return names, absent


def _name_of(state: ReviewState, cluster: int) -> str:
    return state.absent.get(cluster) or free_name(state.names.values(), cluster)


def _unseen_of(state: ReviewState, cluster: int) -> np.ndarray:
    return np.flatnonzero((state.labels == cluster) & state.unseen).astype(np.int32)


def _refuse_settled(state: ReviewState, cluster: int) -> None:
    if _existing(state, cluster) not in state.proposed:
        raise HeadlightError(f"{_short(state.names[cluster])!r} is not a proposed group")


def _number(cluster: Any) -> int:
    if not isinstance(cluster, int) or isinstance(cluster, bool) or not 0 <= cluster <= _MOST:
        raise ValueError(f"{str(cluster)[:40]!r} is no cluster")
    return cluster


def _existing(state: ReviewState, cluster: Any) -> int:
    if _number(cluster) not in state.names:
        raise HeadlightError(
            f"there is no cluster {cluster} any more: it was merged, or its creation was undone"
        )
    return cluster


def _refuse_taken(state: ReviewState, name: str, cluster: int) -> None:
    if any(other == name and c != cluster for c, other in state.names.items()):
        raise HeadlightError(
            f"another cluster is called {_short(name)!r}: merge the two, or choose another name"
        )


def free_name(names: Iterable[str], cluster: int, kind: str = "cluster") -> str:
    """A name for a new cluster that no other has, such as ``cluster-7``."""
    return made_free(f"{kind}-{cluster}", names)


def unnamed(name: str) -> bool:
    """Whether no person gave a cluster its name."""
    return bool(re.fullmatch(r"(cluster|new)-\d+( \(\d+\))?", name))


def made_free(name: str, names: Iterable[str]) -> str:
    """``name``, with a number at its end if it is one of ``names``."""
    taken = set(names)
    free, i = name, 2
    while free in taken:
        end = f" ({i})"
        free, i = name[: LONGEST_NAME - len(end)] + end, i + 1
    return free


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:59] + "…"
