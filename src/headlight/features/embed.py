"""Images to features, resumable: decoding overlaps with encoding, batches commit whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, tee
from typing import TypeVar

import numpy as np

from headlight.encoders import Fusion
from headlight.engines import Engine, cpu_count
from headlight.errors import HeadlightError
from headlight.features.store import FeatureStore
from headlight.images import BadImage, DecodeLimits, ImageRef, ImageSource, augment, decode

Progress = Callable[[int, int], None]
"""Called with (done, total) as work proceeds."""

Stages = Callable[[str], Progress | None]
"""Called with the name of a stage as it begins; returns what the stage reports progress to."""

Prepared = tuple[ImageRef, list[list[np.ndarray]] | BadImage]
"""An image, and for each encoder its views as pixels, or why it can't be used."""

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
    encoders: Fusion,
    engines: Sequence[Engine],
    progress: Progress | None = None,
) -> EmbedReport:
    """Brings ``store`` in step with ``source``: encodes what is new or changed, drops what is gone.

    Stopped at any moment, it loses at most the batch in flight; called again, it goes on.
    Memory is bounded by the batch, and by 24 bytes an image for knowing what is done.

    Arguments:
        source: the images.
        store: where features go; its settings tell the number of views, and of images with views.
        encoders: prepare the images.
        engines: run them, one each.
        progress: told the number of images done and their total.

    Returns:
        What was found and done.
    """
    report = EmbedReport()
    known = Known(*store.stamps())
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
    largest = max(FEWEST_A_COMMIT, BYTES_A_COMMIT // (2 * encoders.dim * (views + 1)))
    last = _last_with_views(source, store.settings.view_images)
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
            features,
        )
        written += len(refs)
        commits += 1
        if commits % COMMITS_UNTIL_TIDY == 0:
            store.tidy()

    try:
        stream = encode(
            source, todo(), encoders, engines, lambda ref: views if ref.id <= last else 0
        )
        for ref, features in stream:
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
    encoders: Fusion,
    engines: Sequence[Engine],
    views: Callable[[ImageRef], int],
    *,
    limits: DecodeLimits | None = None,
) -> Iterator[tuple[ImageRef, np.ndarray | BadImage]]:
    """Features of images, in their order, while the next ones are being decoded.

    Arguments:
        source: reads the images.
        refs: which images.
        encoders: prepare them: an image is decoded once for all encoders and views.
        engines: run the encoders, one each.
        views: augmented views of an image, beside the plain one.
        limits: what one image may cost.

    Returns:
        Pairs of an image and its features, (1 + views, dim) float16, or why it can't be used.
    """
    limits = limits or DecodeLimits()
    # Images in the engines' hands, with the number of their views, or why there are none.
    waiting: deque[tuple[ImageRef, int | BadImage]] = deque()

    def prepare(ref: ImageRef) -> list[list[np.ndarray]] | BadImage:
        try:
            return _views(source, ref, encoders, views(ref), limits)
        except BadImage as reason:
            return reason

    def pixels(part: int, prepared: Iterable[Prepared]) -> Iterator[np.ndarray]:
        for ref, found in prepared:
            if part == 0:
                waiting.append((ref, found if isinstance(found, BadImage) else len(found[0])))
            if not isinstance(found, BadImage):
                yield from found[part]

    streams = tee(_ordered_map(prepare, refs), len(engines))
    vectors = [
        engine.encode(pixels(part, stream))
        for part, (engine, stream) in enumerate(zip(engines, streams, strict=True))
    ]
    for first in vectors[0]:
        ref, count = waiting.popleft()
        while isinstance(count, BadImage):
            yield ref, count
            ref, count = waiting.popleft()
        blocks = [[first, *islice(vectors[0], count - 1)]]
        blocks += [list(islice(others, count)) for others in vectors[1:]]
        yield ref, _half(np.concatenate([np.stack(block) for block in blocks], axis=1))
    for ref, bad in waiting:
        if isinstance(bad, BadImage):
            yield ref, bad


def _last_with_views(source: ImageSource, images: int | None) -> int:
    """The largest id whose image gets augmented views: so many images have that id or a smaller.

    Ids are hashes: the smallest of them are a random sample, and the same one after a resume.
    """
    if images is None or images >= source.count:
        return 2**63 - 1
    if images == 0:
        return -(2**63) - 1
    ids = np.fromiter((ref.id for ref in source), np.int64)
    return int(np.partition(ids, images - 1)[images - 1])


def _half(features: np.ndarray) -> np.ndarray | BadImage:
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    return half if np.isfinite(half).all() else BadImage("the encoder gave values beyond float16")


def _views(
    source: ImageSource, ref: ImageRef, encoders: Fusion, views: int, limits: DecodeLimits
) -> list[list[np.ndarray]]:
    """For each encoder all views of one image, (size, size, 3) uint8; decoded once."""
    if ref.problem:
        raise BadImage(ref.problem)
    image = decode(source.read(ref.path, limits.file_bytes), encoders.min_side, limits)
    found = []
    for encoder in encoders.parts:
        made = [encoder.plain_view(image)]
        made += [augment(image, encoder.input_size, ref.id, v) for v in range(1, views + 1)]
        found.append([np.asarray(view) for view in made])
    return found


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


class Known:
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
