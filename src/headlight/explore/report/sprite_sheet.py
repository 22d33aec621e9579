"""One large picture made of many small ones: what the map shows when a point is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from headlight.images.thumbnail import data_uri, encoded

CELLS = 4000  # pictures at most
PIXELS = CELLS * 48**2  # so many pixels at most; fewer pictures are larger
LARGEST, SMALLEST = 96, 32  # pixels along a side of a cell
BYTES = 4_000_000  # of the encoded picture; base64 makes 5.3 MB of it
# Ways to encode it, of which the first that fits is taken; squares of single pixels would blur in
# all but the lossless one.
HOW: list[dict[str, Any]] = [
    {"form": "PNG", "optimize": True},
    *({"form": "WEBP", "quality": quality, "method": 2} for quality in (72, 50, 30)),
]


class Sheet:
    """Cells of equal size, row by row; a cell stays empty until it is put.

    Arguments:
        paths: of the images, at most `CELLS`; cell i is that of paths[i].

    Attributes:
        side: pixels along a side of a cell. columns: cells in a row.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)
        count = max(1, len(self.paths))
        self.side = int(min(LARGEST, max(SMALLEST, (PIXELS / count) ** 0.5)))
        self._cell = {path: i for i, path in enumerate(self.paths)}
        self._pictures: list[Image.Image | None] = [None] * len(self.paths)
        self._tiny = 0

    @property
    def columns(self) -> int:
        """Cells in a row."""
        return max(1, int(len(self.paths) ** 0.5))

    @property
    def tiny(self) -> bool:
        """Whether the originals are so small that pixels should be shown as squares."""
        there = sum(picture is not None for picture in self._pictures)
        return there > 0 and 2 * self._tiny > there

    @property
    def there(self) -> list[bool]:
        """Which cells have a picture."""
        return [picture is not None for picture in self._pictures]

    def put(self, path: str, picture: Image.Image, tiny: bool) -> None:
        """Fill the cell of ``path`` with a square picture no larger than the cell."""
        self._pictures[self._cell[path]] = picture
        self._tiny += tiny

    def encoded(self) -> tuple[str, int]:
        """The sheet as a ``data:`` URI and the side of its cells; an empty text without pictures.

        The quality, then the side, goes down until it is no more than `BYTES`.
        """
        pictures = [picture for picture in self._pictures if picture]
        if not pictures:
            return "", self.side
        side = max(max(picture.size) for picture in pictures)
        while True:
            whole = self._whole(side)
            for how in HOW if self.tiny else HOW[1:]:
                data = encoded(whole, **how)
                if len(data) <= BYTES:
                    return data_uri(data), side
            if side <= 8:
                return "", side
            side = side * 2 // 3

    def _whole(self, side: int) -> Image.Image:
        rows = -(-len(self.paths) // self.columns)
        whole = Image.new("RGB", (self.columns * side, rows * side), (128, 128, 128))
        for i, picture in enumerate(self._pictures):
            if picture is None:
                continue
            # Tiny pictures among larger ones keep their squares.
            how = Image.Resampling.NEAREST if picture.width < side else Image.Resampling.BOX
            whole.paste(
                picture if picture.width == side else picture.resize((side, side), how),
                (i % self.columns * side, i // self.columns * side),
            )
        return whole
