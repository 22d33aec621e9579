"""k-means with bit-identical results, and centres of clusters."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import kmeans_plusplus

from headlight.clustering.features import CHUNK
from headlight.clustering.threads import one_blas_thread

ITERATIONS = 15


def k_means(
    rows: np.ndarray, n_clusters: int, seed: int, iterations: int = ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Centres float32 (K, dim) and labels int64 (n,) of FAISS's k-means, begun by k-means++.

    scikit-learn's is not used, because its multi-threaded sums differ from run to run.

    Arguments:
        rows: float32 (n, dim), n at least n_clusters.
        n_clusters: K.
        seed: 0 to 2³¹ − 1.
        iterations: of Lloyd's algorithm.
    """
    import faiss

    rows = np.ascontiguousarray(rows, dtype=np.float32)
    # scikit-learn computes distances in float64 in any case; given float32 it converts every time.
    wide = rows.astype(np.float64)
    with one_blas_thread():
        first = kmeans_plusplus(wide, n_clusters, random_state=seed, n_local_trials=2)[0]
    fitted = faiss.Kmeans(
        rows.shape[1],
        n_clusters,
        niter=iterations,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    fitted.train(rows, init_centroids=first.astype(np.float32))
    return np.asarray(fitted.centroids), fitted.index.search(rows, 1)[1][:, 0]


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
