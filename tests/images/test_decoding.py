from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headlight.images import BadImage, DecodeLimits, decode


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def decoded(image: Image.Image, format: str = "PNG", **options: object) -> np.ndarray:
    return np.asarray(decode(encoded(image, format, **options), min_side=64))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be huge and holds nothing."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + ihdr
        + struct.pack(">I", zlib.crc32(ihdr))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_content_decides_the_format(format: str) -> None:
    red = Image.new("RGB", (40, 30), (220, 30, 30))
    pixels = decoded(red, format)
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (220, 30, 30)).max() < 12  # JPEG and GIF are lossy


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 10, 20))  # white at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left becomes top
    pixels = decoded(image, "JPEG", exif=exif, quality=95)
    assert pixels.shape == (40, 20, 3)
    assert pixels[:8].mean() > 240
    assert pixels[-8:].mean() < 15


def test_damaged_exif_does_not_spoil_the_pixels() -> None:
    data = encoded(Image.new("RGB", (40, 20), "white"), "JPEG", exif=b"Exif\0\0not exif at all")
    assert decode(data, 64).size == (40, 20)


def test_cmyk_keeps_its_colour() -> None:
    red = Image.new("CMYK", (20, 20), (0, 255, 255, 0))
    pixel = decoded(red, "JPEG", quality=95)[10, 10]
    assert pixel[0] > 200
    assert pixel[1] < 60


def test_sixteen_bit_greyscale_is_stretched_to_its_own_range() -> None:
    # A 12-bit microscope image: all values far below 65535. Clipping or dividing by 256 kills it.
    ramp = np.linspace(100, 4000, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decoded(Image.fromarray(ramp))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert len(np.unique(pixels)) > 200


def test_float_tiff_with_holes_is_readable() -> None:
    values = np.linspace(-1, 1, 100, dtype=np.float32).reshape(10, 10)
    values[0, 0] = np.nan
    assert decoded(Image.fromarray(values), "TIFF").max() == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    clear = Image.new(mode, (8, 8), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    assert (decoded(clear) == 255).all()


def test_transparent_palette_entry_is_laid_on_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 4, 8))
    pixels = decoded(image, "PNG", transparency=0)
    assert (pixels[:, :4] == (255, 0, 0)).all()
    assert (pixels[:, 4:] == 255).all()


def test_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("lime", "red")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(decode(data, 64))[5, 5]) == (0, 255, 0)


def test_one_pixel_is_an_image() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), "red")), 64).size == (1, 1)


def test_large_jpeg_is_decoded_at_reduced_size_but_not_below_what_is_needed() -> None:
    image = decode(encoded(Image.new("RGB", (1600, 1200)), "JPEG"), min_side=150)
    assert image.size == (200, 150)
    assert decode(encoded(Image.new("RGB", (1600, 1200)), "JPEG"), min_side=151).size == (400, 300)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"just some text, called a.png", "not an image"),
        (encoded(noise(), "JPEG")[:1500], "damaged: .*truncated"),
        (encoded(noise(), "PNG")[:1500], "damaged"),
        (png_header(20_000, 20_000), "too many pixels"),
        (png_header(11_000, 11_000), "too many pixels: 11000 × 11000 = 121 megapixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    ],
)
def test_bad_bytes_give_a_reason_a_person_understands(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(data, 64)


def test_pixels_are_limited_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (100, 100)))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(BadImage, match="too many pixels"):
        decode(data, 64, DecodeLimits(pixels=9_999))


def test_progressive_jpeg_is_limited_by_its_full_size() -> None:
    # Reduced decoding doesn't save its memory, as it does for a plain one.
    image = Image.new("RGB", (2000, 2000))
    limits = DecodeLimits(pixels=1_000_000)
    assert decode(encoded(image, "JPEG"), 64, limits).size == (250, 250)
    with pytest.raises(BadImage, match="too many pixels"):
        decode(encoded(image, "JPEG", progressive=True), 64, limits)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on damaged TIFFs
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_are_an_image_or_a_bad_image_never_another_error(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]))
    raw = bytearray(encoded(noise(24), format))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(raw), 64).mode == "RGB"
    except BadImage as bad:
        assert str(bad)


def tiff(width: int, height: int, *, bits: int = 8, tile: int = 0, compression: int = 1) -> bytes:
    """A greyscale TIFF of a few hundred bytes, with any sizes in its tags; floats if 32 bits."""
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: 1, 277: 1}
    where = (324, 325) if tile else (273, 279)
    tags |= {322: tile, 323: tile} if tile else {278: height}
    tags |= {where[0]: 8, where[1]: 64, 339: 3 if bits == 32 else 1}
    body = zlib.compress(bytes(1000)).ljust(64, b"\0")
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    header = b"II*\0" + struct.pack("<I", 8 + len(body))
    return header + body + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(9_000, 9_000, bits=32, compression=8), "bytes are too few for 9000 × 9000 pixels"),
        (tiff(9_000, 9_000), "bytes are too few for 9000 × 9000 pixels"),
        (tiff(64, 64, tile=20_000, compression=8), "too many pixels|too few"),
        (encoded(Image.new("RGB", (9_000, 9_000)), "WEBP", lossless=True, method=0), "too few"),
    ],
    ids=["float", "strips", "tile", "webp"],
)
def test_few_bytes_that_claim_a_large_image_are_refused_undecoded(
    data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(BadImage, match=reason):
        decode(data, 64)


def progressive(scans: int) -> bytes:
    """A progressive JPEG of 2,000 × 2,000 pixels whose last scan comes ``scans`` times more."""
    data = encoded(Image.new("L", (2_000, 2_000), 100), "JPEG", progressive=True)
    end = data.rfind(b"\xff\xd9")
    return data[:end] + data[data.rfind(b"\xff\xda") : end] * scans + data[end:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(1, 4_000_000, tile=1_600, compression=8), "take too long"),
        (progressive(scans=1_500), "take too long"),
        (b"P1 3000 3000\n" + b"0 " * 9_000_000, "over 16 MiB: save it as PNG"),
    ],
    ids=["tiles beyond the image", "scans", "text"],
)
def test_files_that_would_take_minutes_are_refused_undecoded(
    data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(BadImage, match=reason):
        decode(data, 64)


def test_scans_are_those_of_the_first_image_alone() -> None:
    # A phone's JPEG carries other images behind it; bytes within a segment are no markers.
    data = progressive(scans=0)
    comment = b"\xff\xfe" + struct.pack(">H", 4 + 2_000) + b"\xff\xd9" + b"\xff\xda" * 1_000
    assert decode(data[:2] + comment + data[2:] + data * 300, 64).size == (2_000, 2_000)
    with pytest.raises(BadImage, match="take too long"):
        hostile = progressive(scans=1_500)
        decode(hostile[:2] + comment + hostile[2:], 64)


def test_a_large_blank_page_of_ordinary_size_on_disk_is_an_image() -> None:
    assert decode(encoded(Image.new("L", (3_000, 2_000), 255)), 64).size == (3_000, 2_000)


@pytest.mark.filterwarnings("error")
def test_floats_of_any_size_are_stretched_without_a_warning() -> None:
    values = np.array([[-3.4e38, 0], [3.4e38, np.inf]], np.float32)
    pixels = decoded(Image.fromarray(values), "TIFF")
    assert pixels[..., 0].tolist() == [[0, 127], [255, 0]]


def test_images_decoded_at_the_same_time_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each needs more than half of it: no two of eight threads are decoding at any moment."""
    data = encoded(noise())
    limits = DecodeLimits(total_bytes=64 * 64 * 20)
    running: list[int] = []
    most = []
    load = Image.Image.convert

    def watched(self: Image.Image, *args: object, **options: object) -> Image.Image:
        running.append(1)
        most.append(len(running))
        image = load(self, *args, **options)
        running.pop()
        return image

    monkeypatch.setattr("headlight.images.decoding._rgb", lambda image: watched(image, "RGB"))
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda _: decode(data, 64, limits), range(64)))
    assert len(images) == 64
    assert max(most) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC isn't supported yet: convert it"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC isn't supported yet"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video isn't supported"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "RAW file isn't supported yet"),
        (b"FUJIFILMCCD-RAW 0201", "RAW file isn't supported yet"),
        (b"RIFF\0\0\0\0AVI LIST", "a video isn't supported"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "SVG isn't supported yet"),
        (b"%PDF-1.7", "PDF isn't supported yet"),
    ],
)
def test_formats_not_supported_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(data, 64)
