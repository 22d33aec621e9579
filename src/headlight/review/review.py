"""A reviewed run: the clusters of the fit with all edits applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.review import log as edits
from headlight.review.changes import Change, ReviewState, free_name, made_free, plan, unnamed
from headlight.review.images import Images
from headlight.review.lines import from_line, names_rows, taken_over, to_line
from headlight.review.log import CHECK, REDO, UNDO, Edit, EditLog
from headlight.runs.fits import next_group, run_at
from headlight.runs.image_keys import keys_of
from headlight.runs.projected import centre_of, projected_rows, typical_first
from headlight.runs.run import Run, load_run
from headlight.runs.tables import JOINED, NEAREST, PROPOSED, PROTOTYPES, members_of

_KEPT = frozenset(("cluster", "name", "size", "mean_confidence", "prototypes", "nearest", PROPOSED))


class Review:
    """The clusters of a run with all edits applied, and the methods to edit them.

    Arguments:
        run: fitted.
        keys: uint8 (n, 16), of the rows' images; None: as the run has them.

    Attributes:
        labels: int32 (n,), the cluster of each row of ``run.assignments``.
        outlier: bool (n,), rows a person marked as not belonging.
        by_hand: bool (n,), rows a person moved to where they are.
        names: cluster → name, of the existing clusters.
        done: clusters marked as reviewed.

    Use `review`.
    """

    def __init__(self, run: Run, keys: np.ndarray | None = None) -> None:
        self.run = run
        if keys is not None:
            self.keys = keys
        fitted, clusters = run.assignments, run.clusters
        labels = fitted["cluster"].to_numpy().astype(np.int32)
        numbers = clusters["cluster"].to_pylist()
        self._state = ReviewState(
            labels=labels.copy(),
            outlier=np.zeros(len(labels), bool),
            by_hand=np.zeros(len(labels), bool),
            names=dict(zip(numbers, clusters["name"].to_pylist(), strict=True)),
            done=set(),
            unseen=fresh_rows(fitted),
            proposed=proposed_clusters(clusters),
            next_cluster=max(next_group(run), max(numbers, default=-1) + 1),
        )
        self._fitted = labels
        self._log = EditLog(run.path, run.fit.review_id)
        self._applied: list[tuple[Edit, Change]] = []
        self._undone: list[tuple[Edit, Change]] = []
        self._made: list[Edit] = []
        self.refresh()

    @cached_property
    def keys(self) -> np.ndarray:
        """uint8 (n, 16), what each row's image is called wherever it lies."""
        return keys_of(self.run)

    @cached_property
    def _images(self) -> Images:
        return Images(self.keys, self.run.assignments["path"].to_pylist())

    @cached_property
    def keys_before(self) -> np.ndarray:
        """uint8, keys of the rows that lines of the first format name."""
        first = self._log.fit
        return self.keys if self.run.fit.id == first else keys_of(run_at(self.run, first))

    @property
    def labels(self) -> np.ndarray:
        """int32 (n,), the cluster of each row of ``run.assignments``."""
        return self._state.labels

    @property
    def outlier(self) -> np.ndarray:
        """bool (n,), rows a person marked as not belonging."""
        return self._state.outlier

    @property
    def by_hand(self) -> np.ndarray:
        """bool (n,), rows a person moved to where they are."""
        return self._state.by_hand

    @property
    def names(self) -> dict[int, str]:
        """Cluster → name, of the clusters there are."""
        return self._state.names

    @property
    def done(self) -> set[int]:
        """Clusters marked as reviewed."""
        return self._state.done

    @property
    def unseen(self) -> np.ndarray:
        """bool (n,), rows that an update brought and that nobody has looked at yet."""
        return self._state.unseen

    @property
    def proposed(self) -> set[int]:
        """Clusters that an update proposed and that nobody has accepted yet."""
        return self._state.proposed

    @property
    def next_cluster(self) -> int:
        """The first number that no cluster of this review has had."""
        return self._state.next_cluster

    @property
    def n_edits(self) -> int:
        """Number of edits in force: made and not undone."""
        return len(self._applied)

    @property
    def version(self) -> int:
        """Number of lines in the log: every edit, undo and redo increases it."""
        return self._log.lines

    @property
    def undoable(self) -> Edit | None:
        """The edit that `undo` would revert."""
        return self._applied[-1][0] if self._applied else None

    @property
    def redoable(self) -> Edit | None:
        """The edit that `redo` would apply again."""
        return self._undone[-1][0] if self._undone else None

    @property
    def note(self) -> str:
        """A sentence about edits of other reviews, which are set aside; or empty."""
        if not (others := self._log.of_other_fits):
            return ""
        return (
            f"{counted(others, 'edit')} of another review of this run, set aside when it was "
            f"clustered afresh, {'stays' if others == 1 else 'stay'} in {self._log.path}; "
            "`headlight fit RUN --restore FIT` brings an earlier fit back with its edits."
        )

    @property
    def history(self) -> list[tuple[Edit, bool]]:
        """Every edit of this fit, oldest first, and whether it is in force."""
        in_force = {id(edit) for edit, _ in self._applied}
        return [(edit, id(edit) in in_force) for edit in self._made]

    @property
    def log(self) -> EditLog:
        """The log, up to the last edit that this review knows."""
        return self._log

    def new_cluster(self, count: int = 1) -> dict[int, str]:
        """Unused numbers and names for new clusters."""
        found: dict[int, str] = {}
        for cluster in range(self._state.next_cluster, self._state.next_cluster + count):
            found[cluster] = free_name([*self.names.values(), *found.values()], cluster)
        return found

    def refresh(self) -> bool:
        """Apply edits appended by other processes; returns whether there were any.

        Raises:
            HeadlightError: a line of the log is damaged, or can't be applied after the others.
        """
        new = False
        for number, line in self._log.read():
            try:
                edit = self._parsed(line)
                self._do(edit, self._planned(edit, strict=False))
            except HeadlightError as error:
                raise HeadlightError(
                    f"line {number} of {self._log.path} can't be applied ({error}): restore the "
                    f"file from a copy, or move it and {CHECK} away to start from the clusters as "
                    "fitted"
                ) from error
            new = True
        return new

    def _parsed(self, line: Edit) -> Edit:
        try:
            if names_rows(line):
                line = taken_over(line, lambda: self.keys_before)
            return from_line(line, self._images)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HeadlightError(f"it makes no sense: {error}") from error

    def edit(self, edit: Edit) -> Change:
        """Make an edit; it is on disk when this returns.

        Arguments:
            edit: made by a function of `headlight.review.log`.

        Returns:
            What it changed, or took back.

        Raises:
            HeadlightError: the edit is impossible or can't be written; nothing was changed.
        """
        return self._edit(lambda: edit)

    def move_to_new(self, rows: np.ndarray, name: str | None = None) -> Change:
        """Move rows by hand to a new cluster, in ``names`` of the change. See `edit`."""

        def made() -> Edit:
            ((cluster, free),) = self.new_cluster().items()
            return edits.move({cluster: rows}, {cluster: name or free})

        return self._edit(made)

    def split(self, cluster: int, members: np.ndarray, labels: np.ndarray) -> Change:
        """Split a cluster; new ones, one a part, are in ``names`` of the change. See `edit`.

        Arguments:
            cluster: keeps the first part.
            members: int (m,), its rows.
            labels: int (m,), the part of each, from `headlight.review.splitting.split_rows`.
        """

        def made() -> Edit:
            new = self.new_cluster(int(labels.max()))
            to = {other: members[labels == i] for i, other in enumerate(new, 1)}
            return edits.split(cluster, to, new)

        return self._edit(made)

    def dismiss(self, cluster: int) -> Change:
        """Take a proposed group back: its images become outliers, each filed under the group that
        comes next for it. See `edit`."""

        def made() -> Edit:
            rows = np.flatnonzero(self.labels == cluster)
            second = self.run.assignments["second"].to_numpy()[rows]
            others = sorted(self.names.keys() - {cluster} - self.proposed)
            if not others:
                raise HeadlightError("there is no other group to file its images under")
            target = np.where(np.isin(second, others), second, others[0])
            to = {int(c): rows[target == c] for c in np.unique(target)}
            return edits.dismiss(cluster, to)

        return self._edit(made)

    def take_over(self, moves: Sequence[tuple[int | str, np.ndarray]], fit: str) -> Change:
        """Move rows to where another fit of the run has them. See `edit`.

        Arguments:
            moves: a cluster, or the name of a new one (made free if it is taken), and its new rows,
                integers (m,).
            fit: id of that fit.
        """

        def made() -> Edit:
            names = [target for target, _ in moves if isinstance(target, str)]
            fresh = iter(self.new_cluster(len(names)).items())
            to: dict[int, np.ndarray] = {}
            new: dict[int, str] = {}
            for target, rows in moves:
                if isinstance(target, str):
                    cluster, default = next(fresh)
                    taken = [*self.names.values(), *new.values()]
                    # A name that nobody gave holds a number, which here is another one.
                    new[cluster] = default if unnamed(target) else made_free(target, taken)
                else:
                    cluster = target
                to[cluster] = rows
            return edits.take_over(to, new, fit)

        return self._edit(made)

    def _edit(self, make: Callable[[], Edit]) -> Change:
        """Make the edit that ``make`` gives once the edits of all others are applied."""
        with self._log.locked():
            if load_run(self.run.path).fit.id != self.run.fit.id:
                raise HeadlightError(
                    f"{self.run.path} has been fitted again, so its clusters have changed: "
                    "open it again"
                )
            self.refresh()
            edit = make()
            try:
                line = to_line(edit, self._images)
                edit = from_line(line, self._images)  # with copies of its images, as on replay
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise HeadlightError(f"an edit that can't be understood: {error}") from error
            change = self._planned(edit, strict=True)
            self._do({**edit, **_stamp(self._log.append(line))}, change)
            return change

    def undo(self) -> Change:
        """Undo the last edit in force, without limit. See `edit`."""
        return self.edit(UNDO)

    def redo(self) -> Change:
        """Redo the last undone edit. See `edit`."""
        return self.edit(REDO)

    def assignments(self) -> pa.Table:
        """``run.assignments`` with ``cluster`` as it is now, and a column ``outlier``, bool.

        Confidence, second and margin are still those of the head's own clusters.
        """
        table = self.run.assignments
        place = table.schema.get_field_index("cluster")
        table = table.set_column(place, table.schema.field(place), pa.array(self.labels))
        return table.append_column("outlier", pa.array(self.outlier))

    def clusters(self) -> pa.Table:
        """Like ``run.clusters``, for the existing clusters, with a column ``done``, bool.

        Size, mean confidence, prototypes (never a marked outlier) and nearest are computed for the
        images now in a cluster; the other measures are null if these have changed. In a run without
        features, prototypes are the images with the highest confidence.

        Raises:
            HeadlightError: a file of the run is damaged.
        """
        table = self.run.clusters
        rows = {row["cluster"]: row for row in table.to_pylist()}
        moved = self.labels != self._fitted
        changed = set(self._fitted[moved].tolist()) | set(self.labels[moved].tolist())
        changed |= self.names.keys() ^ rows.keys()
        fresh = changed | set(self.labels[self.outlier].tolist())
        described = self._described(sorted(self.names), fresh) if fresh else {}
        found = []
        for cluster in sorted(self.names):
            row = rows.get(cluster, {"cluster": cluster})
            row |= {"name": self.names[cluster], "done": cluster in self.done}
            if PROPOSED in table.column_names:
                row[PROPOSED] = cluster in self.proposed
            if cluster in changed:
                row |= dict.fromkeys(row.keys() - _KEPT - {"done"})
                members = self.labels == cluster
                row["size"] = int(members.sum())
                confidence = self.run.assignments["confidence"].to_numpy()[members]
                row["mean_confidence"] = float(confidence.mean()) if members.any() else None
            new = described.get(cluster, {})
            if cluster in fresh:
                row["prototypes"] = new["prototypes"]
            if changed and "nearest" in new:
                row["nearest"] = new["nearest"]
            elif changed:
                row["nearest"] = [c for c in row.get("nearest") or [] if c in self.names]
            found.append(row)
        schema = table.schema.append(pa.field("done", pa.bool_()))
        return pa.Table.from_pylist(found, schema=schema)

    def _described(self, clusters: list[int], fresh: set[int]) -> dict[int, dict[str, Any]]:
        """Prototypes of the fresh clusters, and the nearest of all of them."""
        number = np.searchsorted(clusters, self.labels)
        # Outliers are typical of nothing, and pull at no centre.
        of_cluster = members_of(np.where(self.outlier, len(clusters), number), len(clusters))
        if (self.run.path / "features.lance").exists():
            rows = projected_rows(self.run)
            centres = np.stack([centre_of(rows, members) for members in of_cluster])
        else:  # deleted, as one may
            confidence = self.run.assignments["confidence"].to_numpy()
            centres = None
        paths = self.run.assignments["path"]
        found: dict[int, dict[str, Any]] = {}
        for i, (cluster, members) in enumerate(zip(clusters, of_cluster, strict=True)):
            found[cluster] = {}
            if cluster in fresh:
                if centres is None:
                    order = members[np.argsort(-confidence[members], kind="stable")]
                else:
                    order = typical_first(rows, members, centres[i])
                typical = order[:PROTOTYPES]
                found[cluster]["prototypes"] = [paths[int(row)].as_py() for row in typical]
            if centres is not None:
                near = centres @ centres[i]
                others = [int(j) for j in np.argsort(-near, kind="stable") if j != i]
                there = [j for j in others if centres[j].any()] if centres[i].any() else []
                found[cluster]["nearest"] = [clusters[j] for j in there[:NEAREST]]
        return found

    def _planned(self, edit: Edit, *, strict: bool) -> Change:
        if edit["edit"] == "undo":
            if not self._applied:
                raise HeadlightError("there is nothing to undo")
            return self._applied[-1][1]
        if edit["edit"] == "redo":
            if not self._undone:
                raise HeadlightError("there is nothing to redo")
            return self._undone[-1][1]
        return plan(self._state, edit, strict=strict)

    def _do(self, edit: Edit, change: Change) -> None:
        change.apply(self._state, back=edit["edit"] == "undo")
        if edit["edit"] == "undo":
            self._undone.append(self._applied.pop())
        elif edit["edit"] == "redo":
            self._applied.append(self._undone.pop())
        else:
            self._made.append(edit)
            self._applied.append((edit, change))
            self._undone.clear()


def fresh_rows(assignments: pa.Table) -> np.ndarray:
    """Which images an update brought: bool (n,)."""
    if JOINED not in assignments.column_names:
        return np.zeros(len(assignments), bool)
    return assignments[JOINED].is_valid().to_numpy()


def proposed_clusters(clusters: pa.Table) -> set[int]:
    """Those that an update proposed, of ``clusters.parquet``."""
    if PROPOSED not in clusters.column_names:
        return set()
    return {
        c
        for c, p in zip(
            clusters["cluster"].to_pylist(), clusters[PROPOSED].to_pylist(), strict=True
        )
        if p
    }


def _stamp(line: Edit) -> Edit:
    return {name: line[name] for name in ("fit", "at")}


def review(run: Run) -> Review:
    """Open the review of ``run``: its clusters with all edits applied.

    Arguments:
        run: fitted.

    Raises:
        HeadlightError: it is not fitted, or ``edits.jsonl`` or another file of it is damaged.
    """
    return Review(run)
