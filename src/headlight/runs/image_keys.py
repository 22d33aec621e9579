"""What an image is called wherever it lies: by its content, not by its path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.errors import HeadlightError

if TYPE_CHECKING:
    from headlight.runs.run import Run

BYTES = 16
KEY = pa.binary(BYTES)
COLUMN = "image"


def path_key(path: str) -> bytes:
    """The key of an image whose content is not known; never that of a content."""
    return hashlib.blake2b(path.encode(), digest_size=BYTES, person=b"path").digest()


def image_keys(paths: Iterable[str], contents: Iterable[bytes | None]) -> pa.Array:
    """The key of each image: its content, or where that is not known a hash of its path.

    Arguments:
        paths: of the images.
        contents: `headlight.images.content_hash` of each; None: not known.

    Returns:
        (n,) of 16 bytes each. Copies of one file have the same.
    """
    keys = [content or path_key(path) for path, content in zip(paths, contents, strict=True)]
    return pa.array(keys, KEY)


def as_numpy(keys: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Keys as uint8 (n, 16)."""
    one = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    if one.null_count:
        raise HeadlightError("an image without a key")
    data = np.frombuffer(one.buffers()[1], np.uint8)[one.offset * BYTES :]
    return data[: len(one) * BYTES].reshape(-1, BYTES)


def keys_of(run: Run) -> np.ndarray:
    """The key of each row of ``run.assignments``: uint8 (n, 16).

    Fits made before keys were kept get those of the feature store, if it is there.
    """
    table = run.assignments
    if COLUMN in table.column_names and table.schema.field(COLUMN).type == KEY:
        return as_numpy(table[COLUMN])
    paths = table["path"].to_pylist()
    contents: dict[str, bytes | None] = {}
    with suppress(HeadlightError):
        rows = run.features.rows("path", "content")
        contents = dict(zip(rows["path"].to_pylist(), rows["content"].to_pylist(), strict=True))
    return as_numpy(image_keys(paths, (contents.get(path) for path in paths)))


def sorted_images(rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Paths and keys of a store's images, sorted by the bytes of the path.

    Arguments:
        rows: ``path`` and ``content``, of `headlight.features.FeatureStore.rows`.
    """
    rows = rows.take(pc.sort_indices(rows["path"].combine_chunks()))
    paths = rows["path"].combine_chunks()
    return paths, image_keys(paths.to_pylist(), rows["content"].to_pylist())
