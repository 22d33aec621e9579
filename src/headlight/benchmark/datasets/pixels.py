"""Images that are published as bare pixels: the encoder gets them as files, losslessly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headlight.images import BadImage, ImageRef, ImageSource, image_ref


@dataclass(frozen=True)
class Block:
    """The images of one file.

    Arguments:
        name: of the file.
        pixels: (n, height, width, 3) uint8, RGB; any strides.
        labels: (n,) integers.
        mtime_ns: time of the file's last change, nanoseconds since 1970.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray
    mtime_ns: int


class PixelSource(ImageSource):
    """Pixels in memory, named ``FILE#NUMBER``; `read` gives a PPM file, which keeps every value.

    Arguments:
        uri: what tells this source from others.
        blocks: the files, in order.
    """

    def __init__(self, uri: str, blocks: Sequence[Block]) -> None:
        self.uri = uri
        self._blocks = {block.name: block for block in blocks}

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        for block in self._blocks.values():
            for row in range(len(block.pixels)):
                yield image_ref(f"{block.name}#{row}", f"{block.pixels.nbytes}:{block.mtime_ns}")

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`; the bytes are a PPM file."""
        name, _, row = path.rpartition("#")
        block = self._blocks.get(name)
        if block is None or not row.isdecimal() or int(row) >= len(block.pixels):
            raise BadImage("not an image of this source")
        pixels = block.pixels[int(row)]
        if pixels.nbytes > limit:
            raise BadImage(f"larger than the limit of {limit / 2**20:.0f} MiB")
        height, width, _ = pixels.shape
        return b"P6 %d %d 255\n" % (width, height) + pixels.tobytes()

    def labels(self) -> dict[str, str]:
        """The class of each image, as a number."""
        return {
            f"{block.name}#{row}": str(label)
            for block in self._blocks.values()
            for row, label in enumerate(block.labels.tolist())
        }
