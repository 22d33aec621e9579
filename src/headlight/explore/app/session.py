"""One fit of a run under review: what every open tab sees, and every change it makes."""

from __future__ import annotations

import hashlib
import threading
from array import array
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.errors import HeadlightError
from headlight.explore.app import comparing
from headlight.explore.app.cache import PictureCache
from headlight.explore.app.faces import Faces
from headlight.explore.app.filling import Filler
from headlight.explore.app.images import Pictures
from headlight.explore.app.opening import Opened, open_run
from headlight.explore.app.refit import Proposal, propose
from headlight.explore.app.vectors import Vectors
from headlight.explore.palette import palette
from headlight.images import image_id
from headlight.review import log as edits
from headlight.review.comparing import Comparison, compare
from headlight.review.log import Edit
from headlight.review.review import Review
from headlight.review.splitting import split_rows
from headlight.review.wording import described
from headlight.runs import fits_of
from headlight.runs.fits import fit_ids
from headlight.runs.tables import JOINED

FIRST_CLUSTERS, FIRST_TILES = 9, 64  # what a screen shows at first


class Session:
    """A run at its current fit, with edits, pictures and features, until there is another fit.

    Arguments:
        path: of the run folder; whatever of it can be shown is.
        number: of sessions before this one, since the server was started.

    Attributes:
        mark: of this session: rows are numbers that mean something within it only. It is part of
            the addresses of pictures too, which browsers keep for ever.

    Raises:
        HeadlightError: it is no run at all.
    """

    def __init__(self, path: Path, number: int = 0) -> None:
        self.path = path
        self.number = number
        self.opened: Opened = open_run(path)
        self.fit = _fit(self.opened)
        named = f"{path.resolve()} {self.fit} {number}"
        self.mark = hashlib.sha256(named.encode()).hexdigest()[:12]
        run = self.opened.run
        self._fits: dict[str, str] = {}  # when each was saved
        self._count_fits()
        self._other: Review | None = None
        self._lock = threading.RLock()
        self._proposal: tuple[int, Proposal] | None = None
        self.pictures: Pictures | None = None
        self.vectors: Vectors | None = None
        self.filler: Filler | None = None
        if not run:
            self.n = 0
            return
        self.n = len(run.assignments)
        self.paths = run.assignments["path"]
        self._confidence = run.assignments["confidence"].to_numpy()
        self._fitted = run.assignments["cluster"].to_numpy().astype(np.int32)
        ids = array("q", (image_id(name) for name in self.paths.to_pylist()))
        self.cache = PictureCache(path / "thumbnails.sqlite", ids)
        self.pictures = Pictures(self.opened.source, self.paths, self.cache)
        self.vectors = Vectors(run)
        self.filler = Filler(self.pictures)
        self._faces = Faces(run, self.vectors)

    def start(self) -> None:
        """Begins to make the first page's thumbnails, then all others, and to load features."""
        if self.pictures:
            self.pictures.make_first(self._first_page(), self._start_rest)

    def close(self) -> None:
        """Ends what `start` began."""
        if self.filler and self.pictures:
            self.filler.stop()
            self.pictures.close()
            self.cache.close()

    def _start_rest(self) -> None:
        if self.vectors and self.filler:
            self.vectors.start()
            self.filler.start()

    def _first_page(self) -> list[int]:
        """Rows likely to be on the first screen: faces of the largest clusters, and the largest."""
        numbers, sizes = np.unique(self.labels, return_counts=True)
        largest = numbers[np.argsort(-sizes, kind="stable")][:FIRST_CLUSTERS].tolist()
        found = self._faces.of(largest, self.labels, self.outlier)
        faces = [row for rows in found.values() for row in rows]
        tiles = self.rows(largest[0], "certain")[:FIRST_TILES].tolist() if largest else []
        return [*dict.fromkeys([*tiles, *faces])]

    @property
    def labels(self) -> np.ndarray:
        """int32 (n,), clusters now."""
        return self.opened.review.labels if self.opened.review else self._fitted

    @property
    def outlier(self) -> np.ndarray:
        """bool (n,), marked by a person."""
        return self.opened.review.outlier if self.opened.review else np.zeros(self.n, bool)

    @property
    def unseen(self) -> np.ndarray:
        """bool (n,), brought by an update, and nobody has looked at it yet."""
        return self.opened.review.unseen if self.opened.review else np.zeros(self.n, bool)

    @cached_property
    def _joined(self) -> np.ndarray:
        """int64 (n,), when an update brought each image, in seconds since 1970; 0: none did."""
        run = self.opened.run
        if not run or JOINED not in run.assignments.column_names:
            return np.zeros(self.n, np.int64)
        times = run.assignments[JOINED].cast(pa.timestamp("s", "UTC"))  # Parquet keeps thousandths
        return pc.fill_null(times.cast("int64"), 0).to_numpy()

    @cached_property
    def _updates(self) -> list[dict[str, int]]:
        """When updates brought images, the latest first, and how many there are since."""
        times, counts = np.unique(self._joined[self._joined > 0], return_counts=True)
        since = np.cumsum(counts[::-1])
        return [
            {"at": at, "images": images}
            for at, images in zip(times[::-1].tolist(), since.tolist(), strict=True)
        ]

    @property
    def names(self) -> dict[int, str]:
        """Cluster → name."""
        if self.opened.review:
            return self.opened.review.names
        if not self.opened.run:
            return {}
        table = self.opened.run.clusters
        return dict(zip(table["cluster"].to_pylist(), table["name"].to_pylist(), strict=True))

    @property
    def version(self) -> int:
        """A number that every edit raises, undo and redo too."""
        return self.opened.review.version if self.opened.review else 0

    def state(self) -> dict[str, Any]:
        """Everything a page shows besides images, as plain data; see ``static/app/store.js``."""
        with self._lock:
            review = self.opened.review
            labels, names = self.labels if self.n else np.empty(0, np.int32), self.names
            width = max(names, default=-1) + 1
            sizes, colours = np.bincount(labels, minlength=width), palette(width)
            faces = self._faces.of(names, labels, self.outlier) if self.n else {}
            new = np.bincount(labels[self.unseen], minlength=width)
            sums = np.bincount(labels, np.nan_to_num(self._confidence), width) if self.n else sizes
            clusters = [
                {
                    "id": c,
                    "name": name,
                    "size": int(sizes[c]),
                    "confidence": round(float(sums[c] / sizes[c]), 4) if sizes[c] else None,
                    "done": bool(review and c in review.done),
                    "proposed": bool(review and c in review.proposed),
                    "new": int(new[c]),
                    "colour": colours[c],
                    "faces": faces.get(c, []),
                }
                for c, name in sorted(names.items())
            ]
            return {
                "version": self.version,
                "mark": self.mark,
                "fit": self.fit,
                "fits": len(self._fits),
                "saved": self._fits.get(self.fit, ""),
                "review": review.run.fit.review_id if review else "",
                "path": str(self.path.resolve()),
                "title": self._title(),
                "images": self.n,
                "edits": review.n_edits if review else 0,
                "outliers": int(self.outlier.sum()) if self.n else 0,
                "by_hand": int(review.by_hand.sum()) if review else 0,
                "new": int(self.unseen.sum()),
                "updates": self._updates,
                "undo": described(review.undoable) if review else None,
                "redo": described(review.redoable) if review else None,
                "read_only": self.opened.read_only,
                "notes": self.opened.notes,
                "clusters": clusters,
            }

    @property
    def fits(self) -> int:
        """Number of fits that are kept in the run."""
        return len(self._fits)

    def refresh(self) -> bool:
        """Takes in edits and fits that another process has made; tells whether there were any."""
        with self._lock:
            before = self._fits.keys()
            self._count_fits()
            edited = bool(self.opened.review) and self._review().refresh()
            return edited or before != self._fits.keys()

    def _count_fits(self) -> None:
        run = self.opened.run
        if run and self.fit and len(self._fits) != len(fit_ids(run)):
            self._fits = {record.id: saved.isoformat() for record, saved in fits_of(run)}

    def edit(self, edit: Edit) -> None:
        """Makes one edit, on disk first. Raises `HeadlightError` if that can't be."""
        with self._lock:
            self._review().edit(edit)

    def step(self, back: bool, version: int) -> None:
        """Undo or redo, if ``version`` is what the person who asked has seen.

        Raises:
            HeadlightError: somebody else made an edit meanwhile, or there is nothing to do.
        """
        with self._lock:
            review = self._review()
            review.refresh()
            if version != review.version:
                raise HeadlightError("another tab has just made an edit: look at it, then go on")
            self.edit(edits.UNDO if back else edits.REDO)

    def see(self, rows: np.ndarray | None, cluster: int | None) -> None:
        """Notes that a person has looked at new images: at these, or at those of a cluster."""
        with self._lock:
            if rows is None:
                rows = np.flatnonzero(self.unseen & (self.labels == cluster))
            self.edit(edits.mark_seen(rows))

    def dismiss(self, cluster: int) -> None:
        """Takes a proposed group back: its images become outliers of the groups next to it."""
        with self._lock:
            self._review().dismiss(cluster)

    def move(self, rows: np.ndarray, cluster: int | None, name: str | None) -> int:
        """Moves rows to a cluster, or to a new one if it is None; gives the cluster."""
        with self._lock:
            if cluster is None:
                return max(self._review().move_to_new(rows, name).names)
            self.edit(edits.move({cluster: rows}))
            return cluster

    def split(self, cluster: int, parts: int) -> list[int]:
        """Splits a cluster into parts, of which the largest keeps number and name."""
        with self._lock:
            review = self._review()
            members = np.flatnonzero(review.labels == cluster)
        rows = self._vectors().rows()[members]
        labels = split_rows(rows, parts)  # may take seconds: others may go on meanwhile
        with self._lock:
            return [cluster, *review.split(cluster, members, labels).names]

    def propose(self) -> dict[str, Any]:
        """What a refit would change; `apply_refit` does it."""
        with self._lock:
            review, version = self._review(), self.version
            given = review.labels.copy(), review.by_hand.copy(), review.outlier.copy()
            done = set(review.done)
        found = propose(self._vectors().rows(), *given, done)
        with self._lock:
            self._proposal = version, found
        return {
            "version": version,
            "learned_from": found.learned_from,
            "rows": found.rows.tolist(),
            "before": found.before.tolist(),
            "after": found.after.tolist(),
            "confidence": np.round(found.confidence, 3).tolist(),
        }

    def apply_refit(self, version: int, rows: list[int]) -> None:
        """Makes those of the proposed changes that a person left in the list, as one edit.

        Raises:
            HeadlightError: the clusters have changed since the proposal.
        """
        with self._lock:
            if not self._proposal or self._proposal[0] != version or version != self.version:
                raise HeadlightError("the clusters have changed since: refit again")
            found = self._proposal[1]
            wanted = np.isin(found.rows, rows)
            targets = np.unique(found.after[wanted]).tolist()
            to = {c: found.rows[wanted & (found.after == c)] for c in targets}
            self.edit(edits.assign(to))
            self._proposal = None

    def compare(self, fit: str) -> dict[str, Any]:
        """The groups as they are now beside those of another fit; see `comparing.plain`."""
        with self._lock:
            found, version = self._compared(fit), self.version
            return {"version": version, **comparing.plain(found, self._review().by_hand)}

    def flow(self, fit: str, before: int, after: int | None) -> np.ndarray:
        """Rows that are in group ``before`` now and in ``after`` there: int32 (m,)."""
        with self._lock:
            found = comparing.flow_of(self._compared(fit), before, after)
        return found.rows.astype(np.int32)

    def take_over(self, fit: str, version: int, pairs: list[list[int]]) -> None:
        """Brings images to where another fit has them, as one edit.

        Arguments:
            fit: id of the other fit.
            version: of the groups that the person who asked has compared.
            pairs: of a group now and one there, whose images are to be moved.

        Raises:
            HeadlightError: the groups have changed since, or all of these were placed by hand.
        """
        with self._lock:
            review = self._review()
            review.refresh()
            if version != review.version:
                raise HeadlightError("the clusters have changed since: compare again")
            found = self._compared(fit)
            flows = [comparing.flow_of(found, *pair) for pair in pairs]
            wanted = comparing.moves(found, flows, review.by_hand)
            if not wanted:
                raise HeadlightError("these images were placed by hand, so they stay")
            review.take_over(wanted, fit)

    def _compared(self, fit: str) -> Comparison:
        review = self._review()
        if self._other is None or self._other.run.fit.id != fit:
            self._other = comparing.reviewed(review.run, fit)
        self._other.refresh()
        return compare(review, self._other)

    def rows(
        self,
        cluster: int | None,
        order: str,
        outliers: bool = False,
        unseen: bool = False,
        since: int | None = None,
    ) -> np.ndarray:
        """Rows of a cluster, or of all, in the order asked for: int32 (m,).

        Arguments:
            cluster: None for all.
            order: certain, uncertain, typical or name.
            outliers: only those that a person marked.
            unseen: only new ones that nobody has looked at.
            since: only those that updates brought since then, in seconds since 1970.
        """
        with self._lock:
            chosen = np.ones(self.n, bool) if cluster is None else self.labels == cluster
            if outliers:
                chosen = chosen & self.outlier
            if unseen:
                chosen = chosen & self.unseen
            if since is not None:
                chosen = chosen & (self._joined >= since)
            rows = np.flatnonzero(chosen)
            out = self.outlier.copy()
        if order == "name" or not len(rows):
            return rows.astype(np.int32)
        if order == "typical" and cluster is not None:
            return self._vectors().typical_first(rows, out).astype(np.int32)
        score = np.nan_to_num(self._confidence[rows])
        ranked = np.argsort(score if order == "uncertain" else -score, kind="stable")
        return rows[ranked].astype(np.int32)

    def search(self, text: str) -> np.ndarray:
        """Rows whose path holds ``text``, capital letters or not: int32 (m,)."""
        found = pc.match_substring(self.paths, text, ignore_case=True)
        return np.flatnonzero(found.to_numpy()).astype(np.int32)

    def alike(self, rows: np.ndarray, count: int = 300) -> np.ndarray:
        """Rows that look most like those given: int32 (≤ count,)."""
        if not len(rows):
            raise HeadlightError("select an image first")
        return self._vectors().alike(rows, count).astype(np.int32)

    def facts(self, rows: list[int]) -> list[dict[str, Any]]:
        """Path, cluster, confidence and marks of each row."""
        run, labels, outlier = self.opened.run, self.labels, self.outlier
        unseen = self.unseen
        review = self.opened.review
        second = run.assignments["second"].to_numpy() if run else np.empty(0)
        return [
            {
                "row": row,
                "path": self.paths[row].as_py(),
                "cluster": int(labels[row]),
                "confidence": _number(self._confidence[row]),
                "second": int(second[row]),
                "outlier": bool(outlier[row]),
                "new": bool(unseen[row]),
                "by_hand": bool(review and review.by_hand[row]),
            }
            for row in rows
        ]

    def map(self) -> np.ndarray:
        """float32 (2, n): where each image lies on the map; (2, 0) if it has none."""
        run = self.opened.run
        if not run or "map_x" not in run.assignments.column_names:
            return np.empty((2, 0), np.float32)
        table = run.assignments
        both = np.stack([table["map_x"].to_numpy(), table["map_y"].to_numpy()])
        return np.nan_to_num(both.astype(np.float32))

    def _title(self) -> str:
        if not self.opened.run:
            return self.path.name
        uri = self.opened.run.info.source.uri
        return Path(uri).name or uri

    def _review(self) -> Review:
        if not self.opened.review:
            raise HeadlightError(f"nothing can be edited here: {self.opened.read_only}")
        return self.opened.review

    def _vectors(self) -> Vectors:
        if not self.vectors:
            raise HeadlightError(f"there are no features here: {self.opened.read_only}")
        return self.vectors


def _fit(opened: Opened) -> str:
    return opened.run.info.fit.id if opened.run and opened.run.info.fit else ""


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
