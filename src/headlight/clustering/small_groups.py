"""Many small groups of rows, by distance alone: what merging begins with."""

from __future__ import annotations

import numpy as np
import torch


def leading_components(points: torch.Tensor, count: int) -> np.ndarray:
    """Rows in their first principal components: float32 (n, count).

    Arguments:
        points: float16 or float32 (n, d); where d is `count` at most they come as they are.
        count: of components.
    """
    rows = points.float().numpy()
    if rows.shape[1] <= count:
        return np.ascontiguousarray(rows)
    centred = rows - rows.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -count:]
    return np.ascontiguousarray(centred @ axes)


def likeness(centres: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """exp(−d²/σ²) of the distance of any two groups, times their sizes; σ² the mean of d².

    It says which groups are near each other where no edge of the graph does.

    Arguments:
        centres: float (M, d).
        sizes: float64 (M,), shares of the rows.

    Returns:
        float64 (M, M), symmetric, sum 1.
    """
    wide = centres.astype(np.float64)
    squares = (wide**2).sum(axis=1)
    squared = np.maximum(squares[:, None] + squares - 2 * wide @ wide.T, 0)
    weights = np.exp(-squared / max(squared.mean(), 1e-12)) * np.outer(sizes, sizes)
    return np.asarray(weights / weights.sum())
