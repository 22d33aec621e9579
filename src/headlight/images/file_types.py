"""Files that are not images, or of unsupported formats, told by name or first bytes."""

from __future__ import annotations

import mimetypes
from functools import lru_cache
from pathlib import PurePosixPath
from posixpath import splitext

_TYPES = mimetypes.MimeTypes()  # Python's own table: the machine's would differ from place to place
# Left beside photographs by systems and programs, and unknown to Python's table.
_BESIDE_IMAGES = {
    *(".aae", ".bak", ".cfg", ".conf", ".db", ".gpx", ".ini", ".lnk", ".log", ".url", ".xmp"),
    *(".docx", ".md", ".odt", ".pptx", ".toml", ".xlsx", ".yaml", ".yml"),
    *(".ipynb", ".npy", ".npz", ".parquet", ".rar", ".safetensors"),
    *(".cls", ".index", ".msgpack", ".pth", ".ten"),  # WebDataset's
}
_CONVERT = "isn't supported yet: convert it to JPEG or PNG"
_VIDEO = "a video isn't supported: extract its frames as images"
_RAW = f"a camera's RAW file {_CONVERT}"
_AVIF = "AVIF isn't supported by the installed Pillow: update it, or convert the file"

_BRANDS = {b"avif": _AVIF, b"avis": _AVIF, b"crx ": _RAW} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), f"HEIC {_CONVERT}"
)
_MAGIC = (
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"IIU\0", _RAW),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"\x00\x00\x01\xba", _VIDEO),
    (b"\x00\x00\x00\x0cJXL ", f"JPEG XL {_CONVERT}"),
    (b"\xff\x0a", f"JPEG XL {_CONVERT}"),
    (b"8BPS", f"a Photoshop file {_CONVERT}"),
    (b"%PDF", f"PDF {_CONVERT}"),
)


def claims_no_image(name: str) -> bool:
    """Whether a file's extension says that it is neither an image nor a video."""
    return _no_image(splitext(name)[1].lower())


@lru_cache(4096)  # a look into the table costs more than all else that listing a file does
def _no_image(extension: str) -> bool:
    kind, encoding = _TYPES.guess_type(PurePosixPath(f"/x{extension}").as_uri())
    named = bool(kind) and not str(kind).startswith(("image/", "video/"))
    return named or bool(encoding) or extension in _BESIDE_IMAGES


def why_unsupported(data: bytes) -> str | None:
    """Why a file is not supported, and what to do; None if its bytes don't tell."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], _VIDEO)
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return _VIDEO
    if b"<svg" in data[:1000]:
        return f"SVG {_CONVERT}"
    return next((why for magic, why in _MAGIC if data.startswith(magic)), None)
