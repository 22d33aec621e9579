"""What may be clustered: one wrapper around every kind of input, read a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

CHUNK = 4096


class Features:
    """Features (n, views, dim) of any real dtype, handed out as float32 a few rows at a time.

    The array itself is never copied or converted as a whole, so a memory map larger than
    memory works as well as an array. An array (n, dim) counts as one view.

    Arguments:
        X: array-like, memory map or torch tensor, (n, dim) or (n, views, dim), real numbers.

    Raises:
        ValueError: complex, wrong number of dimensions, no rows, no features, not numbers.
        TypeError: sparse, or an object array that holds something other than numbers.
    """

    def __init__(self, X: Any) -> None:
        self.array: Any = _as_array(X)
        shape = tuple(self.array.shape)
        if len(shape) not in (2, 3):
            raise ValueError(
                f"X must be (n, dim) or (n, views, dim), got {len(shape)}-D data of shape {shape}. "
                "Reshape your data using X.reshape(-1, 1) if it has a single feature, "
                "or X.reshape(1, -1) if it is a single row."
            )
        if shape[0] == 0:
            raise ValueError(f"X has 0 sample(s) (shape={shape}) while a minimum of 1 is required.")
        if 0 in shape[1:]:
            raise ValueError(
                f"X has 0 feature(s) (shape={shape}) while a minimum of 1 is required."
            )
        self.n, self.dim = shape[0], shape[-1]
        self.views = shape[1] if len(shape) == 3 else 1

    def rows(self, index: Any, view: Any = 0) -> torch.Tensor:
        """The rows `index`, each in view `view` (one for all, or one per row), as float32 copies.

        Arguments:
            index: slice, or integers (rows,), array or tensor.
            view: integer, or integers (rows,); ignored where X has one view.
        """
        picked = self.array[index] if self.array.ndim == 2 else self.array[index, view]
        if isinstance(picked, torch.Tensor):
            return picked.detach().to("cpu", torch.float32, copy=True)
        if picked.dtype not in (np.float16, np.float32, np.float64) or not picked.dtype.isnative:
            picked = picked.astype(np.float32)
        # A copy, because a tensor must not alias memory that may be read-only. PyTorch converts
        # float16 several times faster than NumPy.
        return torch.from_numpy(np.array(picked, order="C", copy=True)).float()

    def chunks(self, view: int = 0, size: int = CHUNK) -> Iterator[tuple[int, torch.Tensor]]:
        """(first row, rows as float32) over all rows of one view; ValueError where not finite."""
        for start in range(0, self.n, size):
            rows = self.rows(slice(start, start + size), view)
            require_finite(rows, range(start, start + len(rows)))
            yield start, rows


def count_distinct(features: Features, enough: int) -> int:
    """Number of distinct rows of view 0, counted no further than `enough`."""
    seen: set[bytes] = set()
    for _, rows in features.chunks(size=256):
        seen.update(row.tobytes() for row in rows.numpy() + 0.0)  # + 0: −0 is 0
        if len(seen) >= enough:
            return enough
    return len(seen)


def require_finite(rows: torch.Tensor, numbers: Sequence[int] | np.ndarray) -> None:
    """Raise a ValueError that names the first row holding NaN or infinity.

    Arguments:
        rows: float32 (rows, dim).
        numbers: (rows,), the number of each of these rows in X.
    """
    # A sum is finite only if every value is: one pass, and no mask to store.
    if torch.isfinite(rows.sum()):
        return
    bad = ~torch.isfinite(rows).all(dim=1)
    if not bad.any():
        return
    first = int(bad.nonzero()[0])
    what = "NaN" if torch.isnan(rows[first]).any() else "infinity or a value too large for float32"
    raise ValueError(f"X contains {what}, first seen in row {int(numbers[first])}.")


def _as_array(X: Any) -> np.ndarray | torch.Tensor:
    if isinstance(X, torch.Tensor):
        if X.is_complex():
            raise ValueError("Complex data not supported: X must hold real numbers.")
        return X
    if issparse(X):
        raise TypeError("Sparse data not supported: X must be a dense array; use X.toarray().")
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError("Complex data not supported: X must hold real numbers.")
    if array.dtype.kind == "O":
        # Numbers in an object array (a table with mixed columns) are welcome, anything else is
        # not: NumPy's own error says what was found.
        return array.astype(np.float64)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"X must hold numbers, got dtype {array.dtype}.")
    return array
