"""Images to features, resumable: decoding overlaps with encoding, batches commit whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from headlight.encoders import Encoder, Engine, cpu_count
from headlight.errors import HeadlightError
from headlight.features.store import FeatureStore
from headlight.images import BadImage, DecodeLimits, ImageRef, ImageSource, augment, decode

Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""

T = TypeVar("T")
R = TypeVar("R")

FEWEST_A_COMMIT = 256
BYTES_A_COMMIT = 64 * 2**20
COMMITS_UNTIL_TIDY = 200


@dataclass
class EmbedReport:
    """What one call of `embed_source` found and did.

    Arguments:
        kept: images whose features were there already.
        added: images encoded for the first time.
        changed: images encoded again because their file had another size or time.
        gone: images no longer in the source, whose features were removed.
        quarantine: (path, reason) of every image that can't be used.
    """

    kept: int = 0
    added: int = 0
    changed: int = 0
    gone: int = 0
    quarantine: list[tuple[str, str]] = field(default_factory=list)


def embed_source(
    source: ImageSource,
    store: FeatureStore,
    encoder: Encoder,
    engine: Engine,
    progress: Progress | None = None,
) -> EmbedReport:
    """Brings ``store`` in step with ``source``: encodes what is new or changed, drops what is gone.

    Stopped at any moment, it loses at most the batch in flight; called again, it goes on.
    Memory is bounded by the batch, and by 24 bytes an image for knowing what is done.

    Arguments:
        source: the images.
        store: where features go; its settings tell the number of views.
        encoder: prepares the images.
        engine: runs the encoder.
        progress: told the number of images done and their total.

    Returns:
        What was found and done.
    """
    report = EmbedReport()
    known = _Known(*store.stamps())
    total = source.count
    stale = known.drop_stale(source)
    store.delete(stale)
    report.kept = len(known.ids)
    report.gone = known.gone

    def todo() -> Iterator[ImageRef]:
        return (ref for ref in source if not known.has(ref))

    done = report.kept
    views = store.settings.views
    written = len(known.ids)
    largest = max(FEWEST_A_COMMIT, BYTES_A_COMMIT // (2 * encoder.dim * (views + 1)))
    rows: list[tuple[ImageRef, np.ndarray]] = []
    commits = 0

    def commit() -> None:
        nonlocal written, commits
        refs, features = zip(*rows, strict=True)
        rows.clear()  # first: stopped right after the append, they must not be appended again
        store.append(
            [r.id for r in refs],
            [r.path for r in refs],
            [r.stamp for r in refs],
            np.stack(features),
        )
        written += len(refs)
        commits += 1
        if commits % COMMITS_UNTIL_TIDY == 0:
            store.tidy()

    try:
        for ref, features in encode(source, todo(), encoder, engine, views=views):
            if isinstance(features, BadImage):
                report.quarantine.append((ref.path, str(features)))
            else:
                rows.append((ref, features))
                report.added += ref.id not in known.changed
                report.changed += ref.id in known.changed
                # Batches grow with the store: the number of commits grows with its logarithm.
                if len(rows) >= min(largest, max(FEWEST_A_COMMIT, written // 100)):
                    commit()
            done += 1
            if progress:
                progress(done, total)
    finally:
        if rows:  # also on Ctrl-C: what is encoded is kept
            commit()
    if commits or len(stale):
        store.tidy()
    return report


def encode(
    source: ImageSource,
    refs: Iterable[ImageRef],
    encoder: Encoder,
    engine: Engine,
    *,
    views: int,
    limits: DecodeLimits | None = None,
) -> Iterator[tuple[ImageRef, np.ndarray | BadImage]]:
    """Features of images, in their order, while the next ones are being decoded.

    Arguments:
        source: reads the images.
        refs: which images.
        encoder: prepares them.
        engine: runs the encoder.
        views: augmented views, beside the plain one.
        limits: what one image may cost.

    Returns:
        Pairs of an image and its features, (1 + views, dim) float16, or why it can't be used.
    """
    limits = limits or DecodeLimits()
    waiting: deque[tuple[ImageRef, BadImage | None]] = deque()

    def prepare(ref: ImageRef) -> list[np.ndarray] | BadImage:
        try:
            return _views(source, ref, encoder, views, limits)
        except BadImage as reason:
            return reason

    def pixels() -> Iterator[np.ndarray]:
        for ref, prepared in _ordered_map(prepare, refs):
            bad = prepared if isinstance(prepared, BadImage) else None
            waiting.append((ref, bad))
            if not isinstance(prepared, BadImage):
                yield from prepared

    vectors = engine.encode(pixels())
    while block := list(islice(vectors, views + 1)):
        while waiting[0][1] is not None:
            yield waiting.popleft()  # type: ignore[misc]
        ref, _ = waiting.popleft()
        features = _half(np.stack(block))
        yield ref, features
    yield from waiting  # type: ignore[misc]


def _half(features: np.ndarray) -> np.ndarray | BadImage:
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    return half if np.isfinite(half).all() else BadImage("the encoder gave values beyond float16")


def _views(
    source: ImageSource, ref: ImageRef, encoder: Encoder, views: int, limits: DecodeLimits
) -> list[np.ndarray]:
    """All views of one image, (size, size, 3) uint8 each, cut from pixels decoded once."""
    if ref.problem:
        raise BadImage(ref.problem)
    image = decode(source.read(ref.path, limits.file_bytes), encoder.min_side, limits)
    plain = encoder.plain_view(image)
    augmented = [augment(image, encoder.input_size, ref.id, v) for v in range(1, views + 1)]
    return [np.asarray(view) for view in (plain, *augmented)]


def _ordered_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """``function`` over ``items`` in threads, in order, only a few items ahead of the consumer."""
    workers = cpu_count()
    stream = iter(items)
    queue: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for item in stream:
                queue.append((item, pool.submit(function, item)))
                if len(queue) > 4 * workers:
                    first, future = queue.popleft()
                    yield first, future.result()
            while queue:
                first, future = queue.popleft()
                yield first, future.result()
        finally:
            for _, future in queue:
                future.cancel()


class _Known:
    """What the store holds, as sorted arrays of 64-bit ids and stamps: small for any number."""

    def __init__(self, ids: np.ndarray, stamps: np.ndarray) -> None:
        values, first, counts = np.unique(ids, return_index=True, return_counts=True)
        # An image that somehow got two rows is taken for new: both go, and it is encoded again.
        self._doubled = values[counts > 1]
        self.ids, self._stamps = values[counts == 1], stamps[first[counts == 1]]
        self.changed: set[int] = set()
        self.gone = 0

    def _position(self, ref: ImageRef) -> int | None:
        i = int(np.searchsorted(self.ids, ref.id))
        return i if i < len(self.ids) and self.ids[i] == ref.id else None

    def has(self, ref: ImageRef) -> bool:
        """Whether the image's features are there, made from the file as it is now."""
        i = self._position(ref)
        return i is not None and bool(self._stamps[i] == ref.stamp)

    def drop_stale(self, source: ImageSource) -> np.ndarray:
        """Forgets images that changed or are gone; returns the ids to delete, (m,) int64.

        Raises:
            HeadlightError: nothing of what is known is in the source any more.
        """
        same = np.zeros(len(self.ids), bool)
        for ref in source:
            i = self._position(ref)
            if i is None:
                continue
            same[i] = self._stamps[i] == ref.stamp
            if not same[i]:
                self.changed.add(ref.id)
        if len(self.ids) and not same.any() and not self.changed:
            raise HeadlightError(
                "none of the images embedded before are in the source any more: "
                "check the source, or choose another run folder with -o"
            )
        self.gone = int((~same).sum()) - len(self.changed)
        stale = np.concatenate([self.ids[~same], self._doubled])
        self.ids, self._stamps = self.ids[same], self._stamps[same]
        return stale
