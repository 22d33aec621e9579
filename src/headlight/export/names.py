"""Names that any file system takes, from names that anyone may have chosen."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 255  # of one name, on every common file system
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,12}$")
_FORBIDDEN = frozenset('<>:"/\\|?*')  # on Windows; also every separator
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, direction marks, line ends
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.I)


def safe_name(name: str, extra: str = "", most_bytes: int = MOST_BYTES) -> str:
    """One name for a file or folder, as near to ``name`` as is safe on Linux, macOS and Windows.

    Separators, characters that Windows forbids and those that can't be seen become ``_``, and so
    do leading dots (which hide a file) and names that Windows keeps for devices. A name too long
    loses the end of its stem, not its extension.

    Arguments:
        name: anything.
        extra: put between stem and extension; safe itself, and much shorter than ``most_bytes``.
        most_bytes: of the result in UTF-8.

    Returns:
        A name that is neither empty, ``.`` nor ``..``, and holds no separator.
    """
    clean = "".join(
        "_" if c in _FORBIDDEN or unicodedata.category(c) in _UNSEEN else c for c in name
    )
    clean = clean.strip(" ").rstrip(". ")  # Windows drops them silently
    bare = clean.lstrip(".")
    clean = "_" * (len(clean) - len(bare)) + bare
    if _RESERVED.match(clean):
        clean = "_" + clean
    found = _EXTENSION.search(clean)
    extension = found[0] if found and found.start() > 0 else ""
    stem = clean.removesuffix(extension)
    room = most_bytes - len((extra + extension).encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") or "_"
    return stem + extra + extension


def alternative_names(name: str, identity: str) -> Iterable[str]:
    """Names to try in turn for one image, until one is free.

    The second holds a hash of the whole path: among images of the same name it can be told
    without trying every number.

    Arguments:
        name: the image's own.
        identity: its path, unique in the source.
    """
    yield safe_name(name)
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    yield safe_name(name, f"~{digest[:8]}")
    yield safe_name(name, f"~{digest}")


def folder_names(clusters: dict[int, str]) -> dict[int, str]:
    """One folder name a cluster, no two alike even where case doesn't count.

    Arguments:
        clusters: cluster → its name; names may repeat.
    """
    taken: set[str] = set()
    folders = {}
    for cluster, name in clusters.items():
        folder = safe_name(name)
        number = 1
        while _folded(folder) in taken:
            number += 1
            # A dot would start an extension: "a.b" is a folder's whole name.
            folder = safe_name(name, most_bytes=MOST_BYTES - 12) + f"-{number}"
        taken.add(_folded(folder))
        folders[cluster] = folder
    return folders


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
