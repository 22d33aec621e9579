"""Updating a store from a source: stale rows are deleted, new rows commit in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from headlight.errors import HeadlightError
from headlight.features.store import FeatureStore
from headlight.images import BadImage, ImageRef, ImageSource

Progress = Callable[[int, int], None]
"""Called with (done, total) as work proceeds."""

FEWEST_A_COMMIT = 256
BYTES_A_COMMIT = 64 * 2**20
COMMITS_UNTIL_TIDY = 200


@dataclass
class EmbedReport:
    """What one update of a store did.

    Arguments:
        kept: images that were already embedded.
        added: images encoded for the first time.
        changed: images encoded again because their file's size or time changed.
        gone: images removed from the source, whose features were deleted.
        others: files of the source that don't claim to be images, skipped.
        quarantine: (path, reason) of every image that can't be used.
    """

    kept: int = 0
    added: int = 0
    changed: int = 0
    gone: int = 0
    others: int = 0
    quarantine: list[tuple[str, str]] = field(default_factory=list)


class StoreUpdate:
    """Finds what a store lacks of its source, and writes it.

    Use it as a context manager: pending rows commit when it ends, also by Ctrl-C. Memory is bounded
    by the batch, and by some 50 bytes per image for knowing what is done.

    Arguments:
        source: the images.
        store: their features so far.
        engine: what computes the missing ones.
        progress: called with the number of images done and their total.

    Raises:
        HeadlightError: no image of the store is in the source any more.
    """

    def __init__(
        self,
        source: ImageSource,
        store: FeatureStore,
        engine: str,
        progress: Progress | None = None,
    ) -> None:
        self._source, self._store, self._progress = source, store, progress
        self._engine = engine
        marks = np.fromiter(((ref.id, ref.stamp) for ref in source), np.dtype((np.int64, 2)))
        self.ids = marks[:, 0]
        stored, stamps = store.stamps()
        values, first, counts = np.unique(stored, return_index=True, return_counts=True)
        # An image that somehow got two rows is taken for new: both go, and it is encoded again.
        single = counts == 1
        ids, stamps = values[single], stamps[first[single]]
        order = np.argsort(self.ids)
        places = np.searchsorted(self.ids[order], ids)
        there = np.zeros(len(ids), bool)
        within = places < len(order)
        there[within] = self.ids[order[places[within]]] == ids[within]
        same = there.copy()
        same[there] = marks[order[places[there]], 1] == stamps[there]
        if len(ids) and not there.any():
            raise HeadlightError(
                "none of the images embedded before are in the source any more: "
                "check the source, or choose another run folder with -o"
            )
        self._kept, self._stamps = ids[same], stamps[same]
        self._changed = set(ids[there & ~same].tolist())
        store.delete(np.concatenate([ids[~same], values[~single]]))
        self.report = EmbedReport(kept=int(same.sum()), gone=int((~there).sum()))
        self.report.others = source.others
        self._rows: list[tuple[ImageRef, np.ndarray]] = []
        self._commits = 0
        vectors = store.settings.dim * (store.settings.views + 1)
        self._largest = max(FEWEST_A_COMMIT, BYTES_A_COMMIT // (2 * vectors))

    def __enter__(self) -> StoreUpdate:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rows:
            self._commit()
        self._store.tidy()

    def todo(self) -> Iterator[ImageRef]:
        """The images to encode, in the source's order."""
        return (ref for ref in self._source if not self._has(ref))

    def add(self, ref: ImageRef, features: np.ndarray | BadImage) -> None:
        """Take an image's features, (1 + views, dim) or (1, dim) of any float, or why it has none.

        Raises:
            HeadlightError: the store holds features of another engine.
        """
        report = self.report
        if not isinstance(features, BadImage):
            features = half(features)
        if isinstance(features, BadImage):
            report.quarantine.append((ref.path, str(features)))
        else:
            if report.kept and self._engine != self._store.settings.engine:
                raise HeadlightError(
                    f"{self._store.path} holds features computed by {self._store.settings.engine}; "
                    f"{self._engine} rounds differently: use the earlier --device and --precision, "
                    "or choose another run folder with -o"
                )
            self._rows.append((ref, features))
            report.added += ref.id not in self._changed
            report.changed += ref.id in self._changed
            # Batches grow with the store: the number of commits grows with its logarithm.
            written = report.kept + report.added + report.changed
            if len(self._rows) >= min(self._largest, max(FEWEST_A_COMMIT, written // 100)):
                self._commit()
        if self._progress:
            done = report.kept + report.added + report.changed + len(report.quarantine)
            self._progress(done, len(self.ids))

    def _commit(self) -> None:
        refs, features = zip(*self._rows, strict=True)
        self._rows.clear()  # first: stopped right after the append, they must not be added again
        self._store.append(
            [r.id for r in refs], [r.path for r in refs], [r.stamp for r in refs], features
        )
        self._commits += 1
        if self._commits % COMMITS_UNTIL_TIDY == 0:
            self._store.tidy()

    def _has(self, ref: ImageRef) -> bool:
        i = int(np.searchsorted(self._kept, ref.id))
        return i < len(self._kept) and bool(
            self._kept[i] == ref.id and self._stamps[i] == ref.stamp
        )


def half(features: np.ndarray) -> np.ndarray | BadImage:
    """Features as the store holds them, float16, or that they don't fit."""
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    return half if np.isfinite(half).all() else BadImage("its features go beyond float16")
