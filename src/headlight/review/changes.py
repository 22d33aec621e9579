"""What an edit changes, computed before it is applied, so that it can be undone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headlight.errors import HeadlightError
from headlight.review.log import LONGEST_NAME, Edit, unpack_rows

_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, line ends
_MOST = 2**31 - 2


@dataclass
class ReviewState:
    """Clusters as they are after some edits.

    Arguments:
        labels: int32 (n,), the cluster of each row.
        outlier: bool (n,), marked as an outlier by a person.
        by_hand: bool (n,), moved by hand.
        names: of the clusters there are.
        done: those marked as reviewed.
        next_cluster: the first number that no cluster has had.
    """

    labels: np.ndarray
    outlier: np.ndarray
    by_hand: np.ndarray
    names: dict[int, str]
    done: set[int]
    next_cluster: int


@dataclass
class Change:
    """The difference between two states.

    Arguments:
        rows: int32 (m,), whose labels change, from ``labels[0]`` to ``labels[1]``, int32 (m,).
        by_hand: bool (m,) before and after, of the same rows.
        marked: int32 (o,), rows whose outlier mark changes to ``mark``.
        names: cluster → name before and after, None where it isn't there.
        done: clusters whose mark is toggled.
    """

    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    labels: tuple[Any, Any] = ((), ())
    by_hand: tuple[Any, Any] = (False, False)
    marked: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    mark: bool = True
    names: dict[int, tuple[str | None, str | None]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)

    def apply(self, state: ReviewState, back: bool = False) -> None:
        """Change ``state`` in place; ``back`` takes the change back."""
        side = 0 if back else 1
        state.labels[self.rows] = self.labels[side]
        state.by_hand[self.rows] = self.by_hand[side]
        state.outlier[self.marked] = self.mark != back
        for cluster, name in self.names.items():
            if (text := name[side]) is None:
                state.names.pop(cluster, None)
            else:
                state.names[cluster] = text
            state.next_cluster = max(state.next_cluster, cluster + 1)
        state.done ^= self.done

    def clusters(self, labels: np.ndarray) -> list[int]:
        """All clusters it concerns, ascending, also those there are only before or after.

        Arguments:
            labels: int32 (n,), clusters when it was made.
        """
        numbers = [np.unique(part).tolist() for part in (*self.labels, labels[self.marked])]
        return sorted({*self.names, *self.done}.union(*numbers))


def plan(state: ReviewState, edit: Edit) -> Change:
    """What ``edit`` would change in ``state``, which stays as it is.

    Raises:
        HeadlightError: the edit is impossible; the message says why.
    """
    kinds = {
        "rename": _rename,
        "merge": _merge,
        "split": _put,
        "move": _put,
        "assign": _put,
        "outlier": _outlier,
        "done": _done,
    }
    kind = edit.get("edit")
    if kind not in kinds:
        raise HeadlightError(f"there is no edit called {str(kind)[:40]!r}: update headlight")
    try:
        return kinds[kind](state, edit)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
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


def _rename(state: ReviewState, edit: Edit) -> Change:
    cluster = _existing(state, edit["cluster"])
    name = clean_name(edit["name"])
    _refuse_taken(state, name, cluster)
    return Change(names={cluster: (state.names[cluster], name)})


def _merge(state: ReviewState, edit: Edit) -> Change:
    clusters = {_existing(state, c) for c in edit["clusters"]}
    into = _existing(state, edit["into"])
    gone = clusters - {into}
    if into not in clusters or not gone:
        raise HeadlightError("choose two clusters or more to merge")
    rows = np.flatnonzero(np.isin(state.labels, list(gone))).astype(np.int32)
    before = state.labels[rows]
    names: dict[int, tuple[str | None, str | None]] = {
        c: (state.names[c], None) for c in sorted(gone)
    }
    kept = state.by_hand[rows]
    return Change(rows, (before, into), (kept, kept), names=names, done=gone & state.done)


def _put(state: ReviewState, edit: Edit) -> Change:
    """Of `split`, `move` and `assign`: rows to clusters, some of them new."""
    names: dict[int, tuple[str | None, str | None]] = {}
    for text, given in edit["new"].items():
        cluster, name = _number(int(text)), clean_name(given)
        if cluster in state.names:
            raise HeadlightError(f"there is a cluster {cluster} already: try again")
        _refuse_taken(state, name, cluster)
        if name in (other for _, other in names.values()):
            raise HeadlightError(f"two new clusters can't both be called {_short(name)!r}")
        names[cluster] = (None, name)
    after = state.labels.copy()
    asked = np.zeros(len(after), bool)
    for text, packed in edit["to"].items():
        cluster = _number(int(text))
        if cluster not in names:
            _existing(state, cluster)
        rows = unpack_rows(packed, len(after))
        if asked[rows].any():
            raise HeadlightError("an image can't go to two clusters")
        asked[rows] = True
        after[rows] = cluster
    if edit["edit"] == "split" and (state.labels[asked] != _existing(state, edit["cluster"])).any():
        raise HeadlightError("images to split off are no longer in the cluster: try again")
    by_hand = edit["edit"] == "move"
    # A person who puts an image where it is already says that it belongs there.
    differs = (after != state.labels) | (asked & ~state.by_hand if by_hand else False)
    rows = np.flatnonzero(differs).astype(np.int32)
    if not len(rows):
        raise HeadlightError("these images are in that cluster already")
    kept = state.by_hand[rows]
    hands = by_hand if edit["edit"] != "split" else kept
    return Change(rows, (state.labels[rows], after[rows]), (kept, hands), names=names)


def _outlier(state: ReviewState, edit: Edit) -> Change:
    value = bool(edit["value"])
    rows = unpack_rows(edit["rows"], len(state.labels))
    rows = rows[state.outlier[rows] != value].astype(np.int32)
    if not len(rows):
        what = "marked as outliers already" if value else "no outliers"
        raise HeadlightError(f"these images are {what}")
    return Change(marked=rows, mark=value)


def _done(state: ReviewState, edit: Edit) -> Change:
    cluster = _existing(state, edit["cluster"])
    if (cluster in state.done) == bool(edit["value"]):
        what = "done already" if edit["value"] else "not marked as done"
        raise HeadlightError(f"{_short(state.names[cluster])!r} is {what}")
    return Change(done={cluster})


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


def free_name(names: Iterable[str], cluster: int) -> str:
    """A name for a new cluster that no other has."""
    return made_free(f"cluster-{cluster}", names)


def unnamed(name: str) -> bool:
    """Whether no person gave a cluster its name."""
    return bool(re.fullmatch(r"cluster-\d+( \(\d+\))?", name))


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
