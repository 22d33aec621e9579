"""The same rows clustered again from parts of them: what a clustering is compared with."""

from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.k_means import k_means
from headlight.clustering.validation import CHUNK

TIMES = 4
# Rows of a part: half of them, and no more than this or so many per cluster.
MOST, CLUSTER_ROWS = 4_000, 40


def resampled_partitions(points: torch.Tensor, n_clusters: int, times: int = TIMES) -> np.ndarray:
    """Labels of all rows by the centres of k-means of random halves: int64 (times, n).

    Of another method and other rows, for heads trained on the same graph share its errors: they
    agree on 98 of 100 rows where 75 are right. The same parts every time, whatever the seed.

    Arguments:
        points: float16 or float32 (n, dim), n at least n_clusters.
        n_clusters: K.
        times: how many.
    """
    n = len(points)
    size = max(n_clusters, min(n // 2, max(MOST, CLUSTER_ROWS * n_clusters)))
    labels = np.empty((times, n), dtype=np.int64)
    for i in range(times):
        part = np.random.default_rng(i).choice(n, size, replace=False)
        centres = torch.from_numpy(k_means(points[np.sort(part)].float().numpy(), n_clusters, i)[0])
        # The nearest of centres that are not of length 1.
        half = (centres**2).sum(dim=1) / 2
        for start in range(0, n, CHUNK):
            some = points[start : start + CHUNK].float()
            labels[i, start : start + CHUNK] = (some @ centres.T - half).argmax(dim=1)
    return labels
