"""What is clustered: rows of features, some of them with augmented views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

# Rows read at once: in float32 they, and what is computed of them, stay small beside any input.
CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Features:
    """Features of images, or of anything else: one plain row each, and augmented views of some.

    The arrays are never copied or converted as a whole, so memory maps larger than memory work as
    well as arrays.

    Arguments:
        plain: (n, dim), real numbers of any dtype: array, memory map or torch tensor.
        views: (m, V, dim), the augmented views of m of the rows; None: no row has any.
        viewed: int64 (m,), the numbers of these rows, sorted; None: all rows have views.

    Raises:
        ValueError: complex, wrong shapes, not numbers, or `viewed` not sorted row numbers.
        TypeError: sparse, or an object array that holds something other than numbers.
    """

    plain: Any
    views: Any = None
    viewed: Any = None

    def __post_init__(self) -> None:
        plain = _as_array(self.plain)
        if plain.ndim != 2:
            raise ValueError(f"plain must be (n, dim), got shape {tuple(plain.shape)}.")
        views, viewed = None, np.empty(0, np.int64)
        if self.views is not None:
            views, viewed = self._checked_views(*plain.shape)
        object.__setattr__(self, "plain", plain)
        object.__setattr__(self, "views", views)
        object.__setattr__(self, "viewed", viewed)

    def _checked_views(self, n: int, dim: int) -> tuple[Any, np.ndarray]:
        viewed = np.arange(n) if self.viewed is None else np.asarray(self.viewed)
        if viewed.ndim != 1 or viewed.dtype.kind not in "iu" or (np.diff(viewed) <= 0).any():
            raise ValueError("viewed must be row numbers (m,), sorted, each once.")
        if len(viewed) and not 0 <= viewed[0] <= viewed[-1] < n:
            raise ValueError(f"viewed must hold numbers of rows, 0 to {n - 1}.")
        views = _as_array(self.views)
        shape = tuple(views.shape)
        if len(shape) != 3 or (shape[0], shape[2]) != (len(viewed), dim):
            raise ValueError(f"views must be (m, V, dim) = ({len(viewed)}, V, {dim}), got {shape}.")
        if 0 in shape:
            return None, np.empty(0, np.int64)
        return views, viewed.astype(np.int64)

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self.plain.shape[1])

    @property
    def n_views(self) -> int:
        """Views of a row that has augmented ones, the plain one included."""
        return 1 if self.views is None else 1 + int(self.views.shape[1])

    def has_views(self, index: np.ndarray) -> np.ndarray:
        """Which of the rows `index`, int64 (rows,), have augmented views: bool (rows,)."""
        return self._places(index)[1]

    def _places(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in `views` the rows are, and whether they are there."""
        if not len(self.viewed):
            return np.zeros(len(index), np.int64), np.zeros(len(index), dtype=bool)
        places = np.searchsorted(self.viewed, index).clip(max=len(self.viewed) - 1)
        return places, self.viewed[places] == index

    def rows(self, index: Any, view: Any = 0) -> torch.Tensor:
        """The rows `index`, each in view `view` (one for all, or one per row), as float32 copies.

        A row that has no such view comes in its plain one.

        Arguments:
            index: slice, or integers (rows,), array or tensor.
            view: integer, or integers (rows,); 0 is the plain one.
        """
        if self.views is None or not np.asarray(view).any():
            return _float32(self.plain[index])
        start = np.arange(*index.indices(len(self))) if isinstance(index, slice) else index
        numbers = np.asarray(start)
        view = np.broadcast_to(np.asarray(view), numbers.shape)
        places, there = self._places(numbers)
        other = np.flatnonzero(there & (view > 0))
        if len(other) == len(numbers):
            return _float32(self.views[places, view - 1])
        picked = _float32(self.plain[index])
        picked[other] = _float32(self.views[places[other], view[other] - 1])
        return picked

    def chunks(self, size: int = CHUNK) -> Iterator[tuple[int, torch.Tensor]]:
        """(first row, plain rows as float32) over all rows; ValueError where not finite."""
        for start in range(0, len(self), size):
            rows = self.rows(slice(start, start + size))
            require_finite(rows, range(start, start + len(rows)))
            yield start, rows

    def sample(self, most: int) -> np.ndarray:
        """All row numbers, or `most` drawn at random, rows with views before others.

        int64, sorted. Always the same ones: what is learned of the data as a whole does not
        depend on a seed.
        """
        drawn = sample(len(self), most)
        if len(drawn) == len(self):
            return drawn
        first = self.viewed[sample(len(self.viewed), most)]
        rest = drawn[~self.has_views(drawn)]
        return np.sort(np.concatenate([first, rest[sample(len(rest), most - len(first))]]))

    def limit_views(self, most: int | None) -> Features:
        """The same with augmented views of `most` rows only, drawn at random; None: as it is."""
        if most is None or len(self.viewed) <= most:
            return self
        kept = sample(len(self.viewed), most)
        return Features(self.plain, self.views[kept], self.viewed[kept])

    def take(self, index: np.ndarray) -> Features:
        """Some of the rows, int64 (rows,), sorted, as copies."""
        places, there = self._places(index)
        if not there.any():
            return Features(self.plain[index])
        return Features(self.plain[index], self.views[places[there]], np.flatnonzero(there))

    def columns(self, columns: Any) -> Features:
        """The same rows with some of their features only: a slice, or integers (columns,)."""
        if self.views is None:
            return Features(self.plain[:, columns])
        return Features(self.plain[:, columns], self.views[:, :, columns], self.viewed)


def as_features(X: Any) -> Features:
    """`Features` of what a user gives: them, (n, dim), or (n, views, dim), view 0 the plain one.

    Raises:
        ValueError, TypeError: as `Features`; no rows, no features, or 1-D.
    """
    array = X.plain if isinstance(X, Features) else _as_array(X)
    shape = tuple(array.shape)
    if len(shape) not in (2, 3):
        raise ValueError(
            f"X must be (n, dim) or (n, views, dim), got {len(shape)}-D data of shape {shape}. "
            "Reshape your data using X.reshape(-1, 1) if it has a single feature, "
            "or X.reshape(1, -1) if it is a single row."
        )
    if shape[0] == 0:
        raise ValueError(f"X has 0 sample(s) (shape={shape}) while a minimum of 1 is required.")
    if 0 in shape[1:]:
        raise ValueError(f"X has 0 feature(s) (shape={shape}) while a minimum of 1 is required.")
    if isinstance(X, Features):
        return X
    return Features(array) if len(shape) == 2 else Features(array[:, 0], array[:, 1:])


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
    if len(features) < n_clusters:
        raise ValueError(f"X has n_samples={len(features)}, fewer than n_clusters={n_clusters}.")
    if len(features) < 2:
        raise ValueError("X has 1 sample; clustering needs at least 2.")
    if needs_views and features.views is None:
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
