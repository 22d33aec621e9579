"""One cluster into several, while a person waits."""

from __future__ import annotations

import numpy as np

from headlight.counts import counted
from headlight.errors import HeadlightError

LEAST = 60  # images below which a neighbour graph says nothing
MOST_PARTS = 50


def split_rows(vectors: np.ndarray, parts: int, seed: int = 0) -> np.ndarray:
    """Labels of rows of one cluster, the largest part first.

    The partition that `headlight.SCP` begins with: groups in the leading eigenvectors of the
    neighbour graph, merged to what explains the graph best; its centres then take every row.
    Measured by ARI on pairs and triples of real classes merged (8 each; k-means → this): digits
    .56 → .61 and .54 → .64, CIFAR-10 .75 → .75 and .56 → .60, Caltech-101 .99 → .98 and .75 → .86,
    in 1 to 5 s. Training heads from there gave .78 and .82 on the pairs of digits and CIFAR-10,
    in 17 s: too long to wait for a click. Clusters of fewer than 60 images get k-means.

    Arguments:
        vectors: (m, dim), projected, of length 1.
        parts: 2 to 50, at most m.
        seed: of k-means.

    Returns:
        int64 (m,), 0 to parts − 1, each at least once.

    Raises:
        HeadlightError: too few images for as many parts, or all are alike.
    """
    if not isinstance(parts, int) or not 2 <= parts <= MOST_PARTS:
        raise HeadlightError(f"choose 2 to {MOST_PARTS} parts")
    if len(vectors) < parts:
        raise HeadlightError(f"{counted(len(vectors), 'image')} can't make {parts} parts")
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    labels = _by_graph(rows, parts, seed) if len(rows) >= max(LEAST, 10 * parts) else None
    if labels is None or len(np.unique(labels)) < parts:
        from headlight.clustering.k_means import k_means

        labels = k_means(rows, parts, seed)[1]
    found, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(found) < parts:
        raise HeadlightError(f"these images are too alike to make {parts} parts")
    rank = np.empty(parts, np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(parts)
    return rank[labels]


def _by_graph(rows: np.ndarray, parts: int, seed: int) -> np.ndarray:
    import torch

    from headlight.clustering import Features
    from headlight.clustering.graph import Spectrum, neighbour_graph
    from headlight.clustering.k_means import centres_of
    from headlight.clustering.starts import partition

    spectrum = Spectrum(neighbour_graph(Features(torch.from_numpy(rows))))
    labels = partition(spectrum, parts, seed)
    centres = centres_of(spectrum.graph.points.plain, labels, parts).numpy()
    return (rows @ centres.T).argmax(axis=1)
