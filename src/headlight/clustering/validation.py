"""What may be clustered: one wrapper around every kind of input, read a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
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
        augmented: where only some rows have augmented views: X is then (n, dim), of plain views,
            and this a pair of row numbers, sorted integers (m,), and of their other views, as X,
            (m, views, dim).

    Raises:
        ValueError: complex, wrong number of dimensions, no rows, no features, not numbers; views
            that don't go with X.
        TypeError: sparse, or an object array that holds something other than numbers.
    """

    def __init__(self, X: Any, augmented: tuple[Any, Any] | None = None) -> None:
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
        # Which rows have views, and where these are in what holds them; None: all, in `array`.
        self._viewed: np.ndarray | None = None
        self._others: Any = None
        self._columns: np.ndarray | None = None
        if augmented is not None:
            self._augment(*augmented)

    def _augment(self, viewed: Any, others: Any) -> None:
        viewed, others = np.asarray(viewed), _as_array(others)
        if self.array.ndim != 2:
            raise ValueError("X must be (n, dim), of plain views, where augmented is given.")
        if viewed.ndim != 1 or viewed.dtype.kind not in "iu" or (np.diff(viewed) <= 0).any():
            raise ValueError("augmented[0] must be row numbers (m,), sorted, each once.")
        if len(viewed) and not 0 <= viewed[0] <= viewed[-1] < self.n:
            raise ValueError(f"augmented[0] must hold numbers of rows, 0 to {self.n - 1}.")
        shape = tuple(others.shape)
        if len(shape) != 3 or (shape[0], shape[2]) != (len(viewed), self.dim):
            raise ValueError(
                f"augmented[1] must be (m, views, dim) = ({len(viewed)}, views, {self.dim}), "
                f"got {shape}."
            )
        if len(viewed) and shape[1]:
            self._others, self.views = others, 1 + shape[1]
            self._only(viewed.astype(np.int64), np.arange(len(viewed)))

    def _only(self, viewed: np.ndarray, places: np.ndarray) -> None:
        self._viewed = viewed
        self._place = np.full(self.n, -1, dtype=np.int32)
        self._place[viewed] = places

    def limit_views(self, most: int) -> None:
        """From here on only `most` rows have augmented views, drawn at random of more."""
        viewed = np.arange(self.n) if self._viewed is None else self._viewed
        if self.views > 1 and len(viewed) > most:
            kept = viewed[sample(len(viewed), most)]
            self._only(kept, kept if self._others is None else self._place[kept])

    def columns(self, columns: np.ndarray) -> Features:
        """The same rows with some of their features only, int64 (columns,); nothing is copied."""
        part = copy(self)
        part._columns, part.dim = columns, len(columns)
        return part

    def has_views(self, index: np.ndarray) -> np.ndarray:
        """Which of the rows `index`, int64 (rows,), have all views: bool (rows,)."""
        if self._viewed is None:
            return np.full(len(index), self.views > 1)
        return self._place[index] >= 0

    def sample(self, most: int) -> np.ndarray:
        """All row numbers, or `most` drawn at random, rows with views before others.

        int64, sorted. Always the same ones: what is learned of the data as a whole does not
        depend on a seed.
        """
        drawn = sample(self.n, most)
        if self._viewed is None or len(drawn) == self.n:
            return drawn
        first = self._viewed[sample(len(self._viewed), most)]
        rest = drawn[self._place[drawn] < 0]
        return np.sort(np.concatenate([first, rest[sample(len(rest), most - len(first))]]))

    def rows(self, index: Any, view: Any = 0) -> torch.Tensor:
        """The rows `index`, each in view `view` (one for all, or one per row), as float32 copies.

        A row that has no such view comes in its plain one.

        Arguments:
            index: slice, or integers (rows,), array or tensor.
            view: integer, or integers (rows,); ignored where X has one view.
        """
        rows = self._rows(index, view)
        return rows if self._columns is None else rows[:, self._columns]

    def _rows(self, index: Any, view: Any) -> torch.Tensor:
        if self._viewed is not None and np.asarray(view).any():
            index = np.arange(self.n)[index] if isinstance(index, slice) else np.asarray(index)
            view = np.where(self._place[index] >= 0, np.asarray(view), 0)
        if self.array.ndim == 3:
            return _float32(self.array[index, view])
        picked = _float32(self.array[index])
        if self._others is not None and np.asarray(view).any():
            other = np.flatnonzero(view)
            picked[other] = _float32(self._others[self._place[index[other]], view[other] - 1])
        return picked

    def chunks(self, view: int = 0, size: int = CHUNK) -> Iterator[tuple[int, torch.Tensor]]:
        """(first row, rows as float32) over all rows of one view; ValueError where not finite."""
        for start in range(0, self.n, size):
            rows = self.rows(slice(start, start + size), view)
            require_finite(rows, range(start, start + len(rows)))
            yield start, rows


def sample(n: int, most: int) -> np.ndarray:
    """All numbers below n, or `most` of them drawn at random, always the same: int64, sorted."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def require_clusterable(
    features: Features, n_clusters: int, *, needs_views: bool, blocks: Sequence[int] | None
) -> None:
    """Refuse what can't be clustered at all.

    Arguments:
        features: n rows.
        n_clusters: that there must be distinct rows for.
        needs_views: whether two views per row are needed.
        blocks: lengths that must add up to dim; None: nothing to check.

    Raises:
        ValueError: the sentence names the argument, or what X lacks.
    """
    if blocks is not None and sum(blocks) != features.dim:
        raise ValueError(
            f"blocks={tuple(blocks)} add up to {sum(blocks)}, X has {features.dim} features."
        )
    if features.n < n_clusters:
        raise ValueError(f"X has n_samples={features.n}, fewer than n_clusters={n_clusters}.")
    if features.n < 2:
        raise ValueError("X has 1 sample; clustering needs at least 2.")
    if needs_views and features.views < 2:
        raise ValueError(
            'recipe="paper" learns from pairs of views and X has one view per row: '
            'give X of shape (n, views, dim), or recipe="robust".'
        )
    distinct = count_distinct(features, max(2, n_clusters))
    if distinct < 2:
        raise ValueError("all rows of X are equal: there is nothing to cluster.")
    if distinct < n_clusters:
        raise ValueError(f"X has {distinct} distinct rows, fewer than n_clusters={n_clusters}.")


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


def _float32(picked: Any) -> torch.Tensor:
    """A copy as float32, never the memory of the array itself."""
    if isinstance(picked, torch.Tensor):
        return picked.detach().to("cpu", torch.float32, copy=True)
    if picked.dtype not in (np.float16, np.float32, np.float64) or not picked.dtype.isnative:
        picked = picked.astype(np.float32)
    # A copy, because a tensor must not alias memory that may be read-only. PyTorch converts
    # float16 several times faster than NumPy.
    return torch.from_numpy(np.array(picked, order="C", copy=True)).float()


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
