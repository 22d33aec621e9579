"""From images to features, resumable: decoding overlaps with encoding, batches commit
atomically."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, tee
from typing import TypeVar

import numpy as np

from headlight.encoders import Encoders
from headlight.engines import Engine, cpu_count, engine_name
from headlight.features.store import FeatureStore
from headlight.features.update import EmbedReport, Progress, StoreUpdate, half
from headlight.images import BadImage, DecodeLimits, ImageRef, ImageSource, augment, decode

Stages = Callable[[str], Progress | None]
"""Called with the name of a stage as it begins; returns what the stage reports progress to."""

Prepared = tuple[ImageRef, list[list[np.ndarray]] | BadImage]
"""An image, and for each encoder its views as pixels, or why it can't be used."""

T = TypeVar("T")
R = TypeVar("R")


def embed_source(
    source: ImageSource,
    store: FeatureStore,
    encoders: Encoders,
    engines: Sequence[Engine],
    progress: Progress | None = None,
) -> EmbedReport:
    """Update ``store`` from ``source``: encode new and changed images, drop removed ones.

    If interrupted, it loses at most the current batch; called again, it resumes.

    Arguments:
        source: the images.
        store: where features go; its settings tell the number of views, and of images with views.
        encoders: prepare the images.
        engines: run them, one each.
        progress: called with the number of images done and their total.

    Returns:
        What was done.

    Raises:
        HeadlightError: see `StoreUpdate`.
    """
    settings = store.settings
    with StoreUpdate(source, store, engine_name(engines), progress) as update:
        last = _last_with_views(update.ids, settings.view_images)
        for ref, features in encode(
            source,
            update.todo(),
            encoders,
            engines,
            lambda ref: settings.views if ref.id <= last else 0,
        ):
            update.add(ref, features)
    return update.report


def encode(
    source: ImageSource,
    refs: Iterable[ImageRef],
    encoders: Encoders,
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
        yield ref, half(np.concatenate([np.stack(block) for block in blocks], axis=1))
    for ref, bad in waiting:
        if isinstance(bad, BadImage):
            yield ref, bad


def _last_with_views(ids: np.ndarray, images: int | None) -> int:
    """The largest id whose image gets augmented views: ``images`` have that id or a smaller one.

    Ids are hashes: the smallest of them are a random sample, and the same one after a resume.
    """
    if images is None or images >= len(ids):
        return 2**63 - 1
    if images == 0:
        return -(2**63) - 1
    return int(np.partition(ids, images - 1)[images - 1])


def _views(
    source: ImageSource, ref: ImageRef, encoders: Encoders, views: int, limits: DecodeLimits
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
