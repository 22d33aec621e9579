"""From images to features, resumable: decoding overlaps with encoding, batches commit
atomically."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, tee
from typing import NamedTuple

import numpy as np

from headlight.encoders import Encoders
from headlight.engines import Engine, cpu_count, engine_name
from headlight.features.store import FeatureStore
from headlight.features.update import EmbedReport, Progress, StoreUpdate, half
from headlight.images import (
    BadImage,
    DecodeLimits,
    ImageRef,
    ImageSource,
    augment,
    content_hash,
    decode,
)
from headlight.images.ahead import mapped_ahead

Stages = Callable[[str], Progress | None]
"""Called with the name of a stage as it begins; returns what the stage reports progress to."""


class Encoded(NamedTuple):
    """What became of an image.

    Arguments:
        ref: the image.
        content: `headlight.images.content_hash` of its bytes; None if they could not be read.
        features: (1 + views, dim) float16, or why it can't be used; None if they are known.
    """

    ref: ImageRef
    content: bytes | None
    features: np.ndarray | BadImage | None


class Prepared(NamedTuple):
    """An image before it is encoded.

    Arguments:
        ref, content: as in `Encoded`.
        views: for each encoder its views as pixels, or why it can't be used; None if its features
            are known.
    """

    ref: ImageRef
    content: bytes | None
    views: list[list[np.ndarray]] | BadImage | None


Read = tuple[ImageRef, bytes | BadImage]
"""An image and its bytes, or why it can't be read."""


@dataclass(frozen=True)
class ViewsOf:
    """Augmented views of an image with a given content, beside the plain one.

    A sample of the images gets them. Contents are hashes: a share of them is a random sample, the
    same one after a resume, and wherever the images lie.

    Arguments:
        views: of an image of the sample.
        wanted: images in the sample, about; None: all.
        images: there are.
    """

    views: int
    wanted: int | None
    images: int

    def __call__(self, content: bytes) -> int:
        """Number of views."""
        if self.wanted is None or _number(content) * self.images < self.wanted * 2**64:
            return self.views
        return 0


Known = Callable[[ImageRef, bytes], bool]
"""Whether the features of an image are known from its content."""


class Encoding(ABC):
    """Where images are encoded: in this process, or elsewhere.

    Attributes:
        engine: its arithmetic, see `engine_name`.
    """

    engine: str

    @abstractmethod
    def encode(
        self,
        source: ImageSource,
        refs: Iterable[ImageRef],
        views: ViewsOf,
        known: Known | None,
        *,
        ordered: bool = False,
    ) -> Iterator[Encoded]:
        """Features of images, in their order or in any; see `encode`."""

    def close(self) -> None:  # noqa: B027 - not all have something to end
        """End what was started for it."""


class EncodingHere(Encoding):
    """Encoding in this process.

    Arguments:
        encoders: prepare the images.
        engines: run them, one each.
    """

    def __init__(self, encoders: Encoders, engines: Sequence[Engine]) -> None:
        self._encoders, self._engines = encoders, engines
        self.engine = engine_name(engines)

    def encode(
        self,
        source: ImageSource,
        refs: Iterable[ImageRef],
        views: ViewsOf,
        known: Known | None,
        *,
        ordered: bool = False,
    ) -> Iterator[Encoded]:
        """See `encode`: always in order."""
        return encode(source, refs, self._encoders, self._engines, views, known=known)


def embed_source(
    source: ImageSource,
    store: FeatureStore,
    encoding: Encoding,
    progress: Progress | None = None,
) -> EmbedReport:
    """Update ``store`` from ``source``: encode new and changed images, drop removed ones.

    If interrupted, it loses at most the current batch; called again, it resumes.

    Arguments:
        source: the images.
        store: where features go; its settings tell the number of views, and of images with views.
        encoding: computes the missing features.
        progress: called with the number of images done and their total.

    Returns:
        What was done.

    Raises:
        HeadlightError: see `StoreUpdate`.
    """
    settings = store.settings
    with StoreUpdate(source, store, encoding.engine, progress) as update:
        views = ViewsOf(settings.views, settings.view_images, len(update.ids))
        for one in encoding.encode(source, update.todo(), views, update.knows):
            update.add(*one)
    return update.report


def encode(
    source: ImageSource,
    refs: Iterable[ImageRef],
    encoders: Encoders,
    engines: Sequence[Engine],
    views: Callable[[bytes], int],
    *,
    known: Known | None = None,
    limits: DecodeLimits | None = None,
) -> Iterator[Encoded]:
    """Features of images, in their order, while the next ones are being decoded.

    With ``known``, of images with equal bytes only the first is encoded.

    Arguments:
        source: reads the images.
        refs: which images.
        encoders: prepare them: an image is decoded once for all encoders and views.
        engines: run the encoders, one each.
        views: augmented views of an image with a given content, beside the plain one.
        known: whether the features of an image are known from its content; called in threads. Once
            an image has been returned, it must be True for others with its content.
        limits: what one image may cost.

    Returns:
        Iterator of what became of each image.
    """
    limits = limits or DecodeLimits()
    # Images in the engines' hands, with the number of their views, or why there are none.
    waiting: deque[tuple[ImageRef, bytes | None, int | BadImage | None]] = deque()
    # Content of the images in the engines' hands, and of those whose features were no use.
    first_seen: dict[bytes, BadImage | None] = {}

    def prepare(one: Read) -> Prepared:
        ref, data = one
        content = None
        try:
            if isinstance(data, BadImage):
                raise data
            content = content_hash(data)
            if known and known(ref, content):
                return Prepared(ref, content, None)
            made = _views(data, _number(content), encoders, views(content), limits)
            return Prepared(ref, content, made)
        except BadImage as reason:
            return Prepared(ref, content, reason)

    def once(prepared: Iterable[Prepared]) -> Iterator[Prepared]:
        """Without the views of images that equal one before them."""
        for ref, content, found in prepared:
            if known and content and isinstance(found, list):
                if content in first_seen or known(ref, content):
                    yield Prepared(ref, content, None)
                    continue
                first_seen[content] = None
            yield Prepared(ref, content, found)

    def pixels(part: int, prepared: Iterable[Prepared]) -> Iterator[np.ndarray]:
        for ref, content, found in prepared:
            if part == 0:
                count = len(found[0]) if isinstance(found, list) else found
                waiting.append((ref, content, count))
            if isinstance(found, list):
                yield from found[part]

    def without(ref: ImageRef, content: bytes | None, why: BadImage | None) -> Encoded:
        return Encoded(ref, content, why or (first_seen.get(content) if content else None))

    prepared = _prepared(source, refs, limits, prepare)
    streams = tee(once(prepared), len(engines))
    vectors = [
        engine.encode(pixels(part, stream))
        for part, (engine, stream) in enumerate(zip(engines, streams, strict=True))
    ]
    for first in vectors[0]:
        ref, content, count = waiting.popleft()
        while not isinstance(count, int):
            yield without(ref, content, count)
            ref, content, count = waiting.popleft()
        blocks = [[first, *islice(vectors[0], count - 1)]]
        blocks += [list(islice(others, count)) for others in vectors[1:]]
        features = half(np.concatenate([np.stack(block) for block in blocks], axis=1))
        yield Encoded(ref, content, features)
        if content and content in first_seen:
            if isinstance(features, BadImage):
                first_seen[content] = features
            else:
                del first_seen[content]
    for ref, content, why in waiting:
        if not isinstance(why, int):
            yield without(ref, content, why)


def _number(content: bytes) -> int:
    """The first 64 bits of a content: all that is random about the views of an image."""
    return int.from_bytes(content[:8], "big")


def _views(
    data: bytes, number: int, encoders: Encoders, views: int, limits: DecodeLimits
) -> list[list[np.ndarray]]:
    """For each encoder all views of one image, (size, size, 3) uint8; decoded once."""
    image = decode(data, encoders.min_side, limits)
    found = []
    for encoder in encoders.parts:
        made = [encoder.plain_view(image)]
        made += [augment(image, encoder.input_size, number, v) for v in range(1, views + 1)]
        found.append([np.asarray(view) for view in made])
    return found


def _prepared(
    source: ImageSource,
    refs: Iterable[ImageRef],
    limits: DecodeLimits,
    prepare: Callable[[Read], Prepared],
) -> Iterator[Prepared]:
    """Images read and decoded, in order, only a few ahead of the consumer."""

    def read(ref: ImageRef) -> Read:
        try:
            if ref.problem:
                raise BadImage(ref.problem)
            return ref, source.read(ref.path, limits.file_bytes)
        except BadImage as reason:
            return ref, reason

    workers = cpu_count()
    if source.readers:
        files = mapped_ahead(read, refs, source.readers, 2 * source.readers, "read")
        return mapped_ahead(prepare, files, workers, 4 * workers, "decode")
    return mapped_ahead(lambda ref: prepare(read(ref)), refs, workers, 4 * workers, "decode")
