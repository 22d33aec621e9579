"""Small pictures: what they show, and what stands for those that can't be made."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headlight.images import ImageSource, open_source
from headlight.images.thumbnail import Thumbnail, encoded, make_thumbnail, square, within
from tests.conftest import draw


def made(source: ImageSource | None, path: str) -> Thumbnail:
    return make_thumbnail(source, path, 64, lambda image: encoded(square(image, 64), "WEBP"))


def opened(thumbnail: Thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail.data))


def test_a_tiny_original_is_kept_to_the_pixel(tmp_path: Path) -> None:
    draw("noise", 0, (48, 30)).save(tmp_path / "tiny.png")
    draw("noise", 0, (49, 30)).save(tmp_path / "larger.png")
    tiny = made(open_source(tmp_path), "tiny.png")
    assert np.array_equal(np.asarray(opened(tiny)), np.asarray(draw("noise", 0, (48, 30))))
    assert (tiny.tiny, tiny.kind) == (True, "image/png")
    assert tiny.uri.startswith("data:image/png;base64,iVBOR")
    larger = made(open_source(tmp_path), "larger.png")
    assert (larger.tiny, larger.kind) == (False, "image/webp")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 300), (192, 144)),
        ((300, 400), (144, 192)),
        ((2000, 100), (288, 14)),
        ((100, 80), (100, 80)),
        ((4000, 1), (288, 1)),
    ],
)
def test_within_keeps_the_shape_and_both_limits(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert within(Image.new("RGB", size), 144, 288).size == expected


def test_a_square_shows_the_middle_and_bars_of_the_edges_colours() -> None:
    image = Image.new("RGB", (300, 100), "white")
    image.paste("red", (0, 0, 300, 50))
    picture = np.asarray(square(image, 64)).astype(int)
    assert picture.shape == (64, 64, 3)
    assert np.abs(picture[0] - (255, 0, 0)).max() < 3  # the bar above is red as the upper edge
    assert np.abs(picture[-1] - (255, 255, 255)).max() < 3
    wide = Image.new("RGB", (120, 100), "white")
    wide.paste("red", (0, 0, 8, 100))  # cut off
    assert np.asarray(square(wide, 50)).min() > 240
    assert square(Image.new("RGB", (1, 4000)), 64).size == (64, 64)


def test_gone_is_told_from_unreadable(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("gone.png", "sub/in.png", "file"):
        draw("disc", 0).save(folder / name, "PNG")
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "folder.png").mkdir()
    data = (folder / "file").read_bytes()
    for name in ("a", "b"):
        image = [{"bytes": value, "path": ""} for value in (data, b"broken", data)]
        pq.write_table(pa.table({"image": image}), tmp_path / f"{name}.parquet")
    source, rows = open_source(folder), open_source(tmp_path / "a.parquet")
    moved = open_source(tmp_path / "b.parquet")
    (folder / "gone.png").unlink()
    (folder / "sub" / "in.png").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").write_bytes(b"a file where a folder was")
    pq.write_table(pa.table({"image": image[:2]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").unlink()
    problems = {
        "gone": [
            (None, "file"),
            (source, "gone.png"),
            (source, "sub/in.png"),
            (rows, "a.parquet#2"),
            (rows, "other.parquet#0"),
            (moved, "b.parquet#0"),
        ],
        "unreadable": [
            (source, "broken.png"),
            (source, "folder.png"),
            (source, "../secret.png"),
            (rows, "a.parquet#1"),
        ],
        "": [(source, "file"), (rows, "a.parquet#0")],
    }
    for problem, images in problems.items():
        for place, path in images:
            assert made(place, path).problem == problem, path
            assert bool(made(place, path).uri) == (not problem)


def test_no_error_of_a_source_reaches_the_page() -> None:
    class Broken(ImageSource):
        def walk(self):  # type: ignore[no-untyped-def]
            return iter(())

        def read(self, path: str, limit: int) -> bytes:
            raise RuntimeError("anything")

    assert made(Broken(), "x") == Thumbnail(problem="unreadable")
