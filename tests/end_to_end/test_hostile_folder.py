"""A folder with everything that can be wrong with files: the good are clustered, the bad named."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headlight.pipeline import cluster
from tests.conftest import draw

GOOD = [
    "png named jpg.jpg",
    "one pixel.png",
    "cmyk.jpg",
    "sixteen bit.png",
    "animated.gif",
    "modern.webp",
    "no extension",
    'it\'s "quoted".png',
    "two\nlines.png",
    "日本語/çà/Ωμέγα.png",
    "upside down.jpg",
    "clear.png",
    "<script>alert(1)</script>.png".replace("/", "∕"),
]

BAD = {
    "truncated.jpg": "damaged: image file is truncated",
    "zero bytes.png": "empty: the file has no bytes",
    "text.png": "not an image",
    "bomb.png": "too many pixels",
    "pipe": "not a regular file",
    "dangling link.png": "unreadable: no such file",
    "disk error.png": "unreadable",
    "not utf8 \\xff.png": "not valid UTF-8",
}


def make_hostile(folder: Path) -> Path:
    folder.mkdir()
    (folder / "日本語" / "çà").mkdir(parents=True)
    picture = draw("disc", 1)
    with (folder / GOOD[0]).open("wb") as file:
        picture.save(file, "PNG")
    Image.new("RGB", (1, 1), "red").save(folder / GOOD[1])
    draw("stripes", 2).convert("CMYK").save(folder / GOOD[2])
    ramp = np.linspace(0, 4095, 4096).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(folder / GOOD[3])
    picture.save(folder / GOOD[4], save_all=True, append_images=[draw("disc", 3)])
    draw("noise", 3).save(folder / GOOD[5])
    for name in GOOD[6:10] + GOOD[12:]:
        with (folder / name).open("wb") as file:
            draw("stripes", len(name)).save(file, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 3
    picture.save(folder / GOOD[10], exif=exif)
    picture.convert("RGBA").save(folder / GOOD[11])

    whole = folder / "whole.jpg"
    draw("noise", 4).save(whole)
    (folder / "truncated.jpg").write_bytes(whole.read_bytes()[:2000])
    whole.unlink()
    (folder / "zero bytes.png").write_bytes(b"")
    (folder / "text.png").write_text("Dear reader,\nthis is a letter.\n")
    (folder / "bomb.png").write_bytes(black_png(20_000))
    os.mkfifo(folder / "pipe")
    (folder / "dangling link.png").symlink_to(folder / "nowhere")
    (folder / "disk error.png").symlink_to("/proc/self/mem")  # reading it fails, even for root
    (folder / "loop").symlink_to(folder)
    with open(os.fsencode(folder) + b"/not utf8 \xff.png", "wb") as file:
        picture.save(file, "PNG")
    (folder / ".hidden.png").write_text("not looked at")
    return folder


def black_png(side: int) -> bytes:
    """A real, decodable picture of side × side pixels that is small on disk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    compressor = zlib.compressobj(1)
    row = bytes(1 + 3 * side)
    data = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.skipif(os.name != "posix", reason="pipes and links in a folder (needs POSIX)")
def test_every_good_image_is_clustered_and_every_bad_one_has_a_reason(tmp_path: Path) -> None:
    folder = make_hostile(tmp_path / "hostile")
    before = {p: p.lstat() for p in folder.iterdir()}
    run = cluster(folder, 3, out=tmp_path / "h.headlight", views=1, device="cpu")
    assert set(run.assignments["path"].to_pylist()) == set(GOOD)
    reasons = {row["path"]: row["error"] for row in run.quarantine.to_pylist()}
    assert set(reasons) == set(BAD)
    for path, reason in BAD.items():
        assert reason in reasons[path], (path, reasons[path])
    page = (run.path / "report.html").read_text("utf-8")
    assert "<script>alert(1)" not in page
    after = {p: p.lstat() for p in folder.iterdir()}
    assert {p: (s.st_size, s.st_mtime_ns, s.st_ino) for p, s in after.items()} == {
        p: (s.st_size, s.st_mtime_ns, s.st_ino) for p, s in before.items()
    }
