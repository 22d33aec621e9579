"""The bundled data set: scikit-learn's 1,797 handwritten digits, 8 × 8 pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from headlight.images.listing import ImageRef, image_ref
from headlight.images.source import BadImage, ImageSource


class DigitsSource(ImageSource):
    """Real images that come with scikit-learn: for the demo and the tests, on any machine."""

    uri = "digits"

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        for row in range(len(self._data.images)):
            yield image_ref(f"digits/{row:04d}.png", "64:0")

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`; the bytes are a PNG file."""
        from PIL import Image

        try:
            row = int(path.removeprefix("digits/").removesuffix(".png"))
            grey = self._data.images[row]
        except (ValueError, IndexError) as error:
            raise BadImage("not an image of this source") from error
        stream = io.BytesIO()
        Image.fromarray((grey * (255 / 16)).astype(np.uint8)).save(stream, "PNG")
        return stream.getvalue()

    def labels(self) -> dict[str, str] | None:
        """The digit each image shows."""
        return {ref.path: str(t) for ref, t in zip(self, self._data.target, strict=True)}

    @cached_property
    def _data(self):  # type: ignore[no-untyped-def]
        from sklearn.datasets import load_digits

        return load_digits()
