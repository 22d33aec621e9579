"""Some images of a source, and embedding them as ``headlight embed`` does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from headlight.encoders import Encoders
from headlight.engines import Engine, engine_name
from headlight.features import EncodingHere, FeatureStore, StoreSettings, embed_source
from headlight.images import ImageRef, ImageSource


class Sample(ImageSource):
    """Images of another source.

    Arguments:
        whole: that source.
        images: how many.
        spread: evenly over all; else the first.
    """

    def __init__(self, whole: ImageSource, images: int, *, spread: bool = True) -> None:
        self.whole, self.uri = whole, whole.uri
        step = max(1, whole.count // images) if spread else 1
        self.refs = list(islice(whole, 0, step * images, step))

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource`."""
        return iter(self.refs)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource`."""
        return self.whole.read(path, limit)


def embed(
    source: Sample,
    encoders: Encoders,
    engines: Sequence[Engine],
    views: int = 0,
    view_images: int | None = None,
) -> None:
    """From files to a feature store, which is thrown away: list, read, decode, encode, write.

    Arguments:
        source: the images; all must be usable.
        encoders: the encoders.
        engines: one each.
        views: augmented views, beside the plain one.
        view_images: how many images get them; None: all.
    """
    settings = StoreSettings(
        source=source.uri,
        encoder=encoders.name,
        weights=encoders.weights_hash,
        dim=encoders.dim,
        views=views,
        engine=engine_name(engines),
        view_images=view_images,
    )
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.create(Path(folder) / "features.lance", settings)
        report = embed_source(source, store, EncodingHere(encoders, engines))
        assert report.added == len(source.refs), report.quarantine[:3]


def noise(images: int, size: int) -> list[np.ndarray]:
    """Ready pixels, (size, size, 3) uint8 each; 64 different ones, repeated."""
    some = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), np.uint8)
    return [some[i % 64] for i in range(images)]
