"""Centres of clusters of rows that have length 1."""

from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.validation import CHUNK


def centres_of(points: torch.Tensor, labels: np.ndarray, n_clusters: int) -> torch.Tensor:
    """Mean direction of each cluster's rows: float32 (K, dim), of length 1; 0 if it has none.

    Arguments:
        points: float16 or float32 (n, dim), each of length 1.
        labels: int64 (n,), 0 to K − 1.
        n_clusters: K.
    """
    sums = torch.zeros(n_clusters, points.shape[1])
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        sums.index_add_(0, torch.from_numpy(labels[part]).long(), points[part].float())
    return torch.nn.functional.normalize(sums, dim=1)
