"""Updating a store from a source: stale rows are deleted, new rows commit in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from headlight.errors import HeadlightError
from headlight.features.contents import KnownContents, as_numpy, place
from headlight.features.store import FeatureStore, RowKey
from headlight.images import BadImage, DecodeLimits, ImageRef, ImageSource, content_hash

Progress = Callable[[int, int], None]
"""Called with (done, total) as work proceeds."""

FEWEST_A_COMMIT = 256
BYTES_A_COMMIT = 64 * 2**20
COMMITS_UNTIL_TIDY = 200
SAMPLE = 64  # images read to see whether a source with other paths has the same images


@dataclass
class EmbedReport:
    """What one update of a store did.

    Arguments:
        kept: images that were already embedded.
        found: images found again by their content under another path or date; they keep their
            features.
        added: images encoded for the first time.
        copied: new files with the content of another image, whose features they share.
        changed: files with another content than before.
        gone: images removed from the source, whose features were deleted.
        others: files of the source that don't claim to be images, skipped.
        quarantine: (path, reason) of every image that can't be used.
    """

    kept: int = 0
    found: int = 0
    added: int = 0
    copied: int = 0
    changed: int = 0
    gone: int = 0
    others: int = 0
    quarantine: list[tuple[str, str]] = field(default_factory=list)

    @property
    def written(self) -> int:
        """Images that have features."""
        return self.kept + self.found + self.added + self.copied + self.changed


class Row(NamedTuple):
    """A row to write.

    Arguments:
        ref: the image.
        content: of its bytes; None if they were not read.
        features: its own, or the id and the content of the row that has them.
    """

    ref: ImageRef
    content: bytes | None
    features: np.ndarray | RowKey


class StoreUpdate:
    """Finds what a store lacks of its source, and writes it.

    Use it as a context manager: pending rows commit when it ends, also by Ctrl-C. Rows of files
    that are no longer as they were stay until the end, since another file may have their content.
    Memory is bounded by the batch, and by some 100 bytes per image for knowing what is done.

    Arguments:
        source: the images.
        store: their features so far.
        engine: what computes the missing ones.
        progress: called with the number of images done and their total.
        reads: images are read, so that their content is known. Rows without one, of a store made
            before contents were kept, then get it.

    Raises:
        HeadlightError: no image of the store is in the source any more.
    """

    def __init__(
        self,
        source: ImageSource,
        store: FeatureStore,
        engine: str,
        progress: Progress | None = None,
        *,
        reads: bool = True,
    ) -> None:
        self._source, self._store, self._progress = source, store, progress
        self._engine = engine
        self._listing = source.listing
        self.ids = self._listing.ids
        rows = store.rows("id", "stamp", "content", "place")
        ids, stamps, places = (rows[name].to_numpy() for name in ("id", "stamp", "place"))
        contents = as_numpy(rows["content"])
        has_content = contents != b""
        self._stored = len(ids)

        order = np.argsort(self.ids)
        at = np.minimum(np.searchsorted(self.ids[order], ids), len(order) - 1)
        there = self.ids[order[at]] == ids if len(order) else np.zeros(len(ids), bool)
        same = there.copy()
        same[there] = self._listing.stamps[order[at[there]]] == stamps[there]
        # An image that somehow got two rows is taken for new: both go, and it is encoded again.
        _, which, counts = np.unique(ids[same], return_inverse=True, return_counts=True)
        twice = np.zeros(len(ids), bool)
        twice[same] = counts[which] > 1
        usable = has_content & ~twice
        self._known = KnownContents(contents[usable], ids[usable])
        if len(ids) and not there.any() and not (reads and self._finds_any(stamps)):
            raise HeadlightError(
                "none of the images embedded before are in the source any more: "
                "check the source, or choose another run folder with -o"
            )

        kept = same & ~twice
        lacking = kept & ~has_content & reads
        self._stale = places[~kept]
        kept &= ~lacking
        before = there & ~same
        self._kept, self._stamps = _by_first(ids[kept], stamps[kept])
        self._lacking, self._places = _by_first(ids[lacking], places[lacking])
        self._before, self._contents = _by_first(ids[before], contents[before])
        self._left, self._left_count = np.unique(contents[~there], return_counts=True)
        self.report = EmbedReport(kept=int(kept.sum()), gone=int((~there).sum()))
        self.report.others = source.others
        self._rows: list[Row] = []
        self._commits = 0
        vectors = store.settings.dim * (store.settings.views + 1)
        self._largest = max(FEWEST_A_COMMIT, BYTES_A_COMMIT // (2 * vectors))

    def __enter__(self) -> StoreUpdate:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if self._rows:
            self._commit()
        if failed is None:
            self._store.delete(self._stale)
        self._store.tidy()

    def todo(self) -> Iterator[ImageRef]:
        """The images to encode, in the source's order."""
        if not len(self._kept):
            return iter(self._listing)
        at = np.minimum(np.searchsorted(self._kept, self.ids), len(self._kept) - 1)
        done = (self._kept[at] == self.ids) & (self._stamps[at] == self._listing.stamps)
        return self._listing.at(np.flatnonzero(~done))

    def knows(self, ref: ImageRef, content: bytes) -> bool:
        """Whether `add` needs no features of an image with this content."""
        return self._row_of(ref, content) is not None

    def add(
        self, ref: ImageRef, content: bytes | None, features: np.ndarray | BadImage | None
    ) -> None:
        """Take an image.

        Arguments:
            ref: the image.
            content: of its bytes; None if they were not read.
            features: (1 + views, dim) or (1, dim) of any float, or why it has none; None: those of
                its content, which is known.

        Raises:
            HeadlightError: the store holds features of another engine.
        """
        report = self.report
        if isinstance(features, np.ndarray):
            features = half(features)
        if isinstance(features, BadImage):
            if self._lacks(ref):  # the row is as good as before
                report.kept += 1
            else:
                report.quarantine.append((ref.path, str(features)))
        elif features is None:
            if not content or not (shared := self._row_of(ref, content)):
                raise ValueError(f"{ref.path} has no features, and its content is not known")
            self._count_known(ref, content)
            self._rows.append(Row(ref, content, shared))
        else:
            if self._stored and self._engine != self._store.settings.engine:
                raise HeadlightError(
                    f"{self._store.path} holds features computed by {self._store.settings.engine}; "
                    f"{self._engine} rounds differently: use the earlier --device and --precision, "
                    "or choose another run folder with -o"
                )
            known_path = place(self._before, ref.id) is not None
            report.added += not known_path
            report.changed += known_path
            self._rows.append(Row(ref, content, features))
            if content:
                self._known.add(content, ref.id)
        # Batches grow with the store: the number of commits grows with its logarithm.
        if len(self._rows) >= min(self._largest, max(FEWEST_A_COMMIT, report.written // 100)):
            self._commit()
        if self._progress:
            self._progress(report.written + len(report.quarantine), len(self.ids))

    def _row_of(self, ref: ImageRef, content: bytes) -> RowKey | None:
        """The row with the features of an image."""
        if self._lacks(ref):
            return ref.id, None
        found = self._known.get(content)
        return None if found is None else (found, content)

    def _count_known(self, ref: ImageRef, content: bytes) -> None:
        report = self.report
        before = place(self._before, ref.id)
        if self._lacks(ref):
            report.kept += 1
        elif before is not None and place(self._contents[before : before + 1], content) == 0:
            report.found += 1
        elif (i := place(self._left, content)) is not None and self._left_count[i]:
            self._left_count[i] -= 1
            report.found += 1
            report.gone -= 1
        elif before is not None:
            report.changed += 1
        else:
            report.copied += 1

    def _commit(self) -> None:
        rows = self._rows
        found: dict[RowKey, np.ndarray] = {
            (r.ref.id, r.content): r.features for r in rows if isinstance(r.features, np.ndarray)
        }
        shared = {r.features for r in rows if isinstance(r.features, tuple)}
        found |= self._store.views_of(shared - found.keys())
        features = [
            found[r.features] if isinstance(r.features, tuple) else r.features for r in rows
        ]
        self._rows = []  # first: stopped right after the append, they must not be added again
        self._store.append(
            [r.ref.id for r in rows],
            [r.ref.path for r in rows],
            [r.ref.stamp for r in rows],
            [r.content for r in rows],
            features,
        )
        # At once: a row and its successor with the same stamp would be an image with two rows.
        filled = [r for r in rows if self._lacks(r.ref)]
        ids = np.array([r.ref.id for r in filled], np.int64)
        self._store.delete(self._places[np.searchsorted(self._lacking, ids)])
        for r in filled:
            if r.content and self._known.get(r.content) is None:
                self._known.add(r.content, r.ref.id)
        self._commits += 1
        if self._commits % COMMITS_UNTIL_TIDY == 0:
            self._store.tidy()

    def _finds_any(self, stamps: np.ndarray) -> bool:
        """Whether some of the source's images have a known content: their paths are all new.

        A sample is read, first of files with a known size and time.
        """
        order = np.lexsort((self.ids, ~np.isin(self._listing.stamps, stamps)))[:SAMPLE]
        for ref in self._listing.at(np.sort(order)):
            with suppress(BadImage):
                data = self._source.read(ref.path, DecodeLimits().file_bytes)
                if self._known.get(content_hash(data)) is not None:
                    return True
        return False

    def _lacks(self, ref: ImageRef) -> bool:
        """Whether the image has a row without a content."""
        return place(self._lacking, ref.id) is not None


def _by_first(ids: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(ids, kind="stable")
    return ids[order], others[order]


def half(features: np.ndarray) -> np.ndarray | BadImage:
    """Features as the store holds them, float16, or that they don't fit."""
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    return half if np.isfinite(half).all() else BadImage("its features go beyond float16")
