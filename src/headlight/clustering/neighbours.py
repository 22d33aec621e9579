"""Nearest neighbours by cosine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

EXACT = 10_000
BATCH = 8192


class NeighbourIndex:
    """An index of rows for nearest-neighbour search: exact up to 10,000 rows, approximate above.

    Above, an inverted file finds some 90 % of the nearest neighbours; the others are hardly farther
    (on CIFAR-10 68.3 % of the neighbours found have the same class, as with twice the lists, in
    half the time).

    Arguments:
        points: float16 or float32 (n, dim), rows of length 1. They are not copied up to 10,000, and
            kept in their own dtype above.
    """

    def __init__(self, points: torch.Tensor) -> None:
        import faiss

        self.n, dim = points.shape
        self._points = points
        self._index: Any = None
        if self.n <= EXACT:
            return
        n_lists = int(2 * self.n**0.5)
        coarse, metric = faiss.IndexFlatIP(dim), faiss.METRIC_INNER_PRODUCT
        index: Any
        if points.dtype == torch.float16:  # faster than float32, and exact
            half = faiss.ScalarQuantizer.QT_fp16
            index = faiss.IndexIVFScalarQuantizer(coarse, dim, n_lists, half, metric, False)
        else:
            index = faiss.IndexIVFFlat(coarse, dim, n_lists, metric)
        index.cp.niter = 6
        index.nprobe = max(8, n_lists // 48)
        index.train(points[:: max(1, self.n // (40 * n_lists))].float().numpy())
        for start in range(0, self.n, BATCH):
            index.add(points[start : start + BATCH].float().numpy())
        self._index = index

    def search(self, rows: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosine similarities and indices, each (rows, count), nearest first."""
        import faiss

        queries, count = rows.float().numpy(), min(count, self.n)
        if self._index is None:
            every_row = self._points.float().numpy()
            return faiss.knn(queries, every_row, count, faiss.METRIC_INNER_PRODUCT)
        near, found = self._index.search(queries, count)
        # An inverted file answers −1 where the lists it probed hold too few rows, as they do where
        # thousands of rows are equal.
        short = np.flatnonzero((found < 0).any(axis=1))
        if len(short):
            every = faiss.SearchParametersIVF()
            every.nprobe = self._index.nlist
            near[short], found[short] = self._index.search(queries[short], count, params=every)
        return near, found

    def among_themselves(
        self, points: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The nearest other rows of every row.

        Arguments:
            points: those the index was made of.
            count: how many; fewer where there are not so many other rows.

        Returns:
            indices int64 (n, k) and cosine similarities float32 (n, k), nearest first.
        """
        k = min(count, self.n - 1)
        indices = torch.empty(self.n, k, dtype=torch.int64)
        similarities = torch.empty(self.n, k)
        for start in range(0, self.n, BATCH):
            stop = min(start + BATCH, self.n)
            near, found = self.search(points[start:stop], k + 1)
            keep = _without_itself(found, start)
            indices[start:stop] = torch.from_numpy(found[keep].reshape(-1, k))
            similarities[start:stop] = torch.from_numpy(near[keep].reshape(-1, k))
        return indices, similarities.clamp_(-1, 1)


def nearest_neighbours(points: torch.Tensor, n_neighbors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest other rows by cosine; see `NeighbourIndex.among_themselves`."""
    return NeighbourIndex(points).among_themselves(points, n_neighbors)


def _without_itself(found: np.ndarray, first: int) -> np.ndarray:
    """Mask of the k entries to keep of k + 1: not the row itself, or else not the farthest."""
    keep = found != np.arange(first, first + len(found))[:, None]
    keep[keep.all(axis=1), -1] = False
    return keep
