"""Where heads start: partitions of a sample of rows, found without training."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from sklearn.cluster import kmeans_plusplus

from headlight.clustering.graph import Graph
from headlight.clustering.information import edge_shares, graph_information

SAMPLE = 20_000
# The neighbour whose distance is a row's own scale (7 in Zelnik-Manor and Perona).
SCALE_NEIGHBOUR = 6
MOST_VECTORS = 256
DENSE = 500
# Samples of k-means have this many rows, or 40 a cluster. With many clusters one k-means costs
# more, and differs less from the next: fewer are tried.
SMALL = 4_000
MOST_TRIED = 36
WORK = 1_200
SEEDS = 2**31 - 1
CHUNK = 4096


def starting_centres(graph: Graph, n_clusters: int, n_starts: int, seed: int) -> torch.Tensor:
    """Centres of different partitions of the rows, as the first weights of as many heads.

    The first two come from the neighbour graph (spectral clustering, by k-means and by pivoted
    QR). The others are k-means of small samples, several times as many as are wanted: those stay
    that explain the graph best. No kind is best on all data.

    Arguments:
        graph: of the rows; at most 20,000 of them are used.
        n_clusters: K.
        n_starts: how many partitions.
        seed: of k-means, its samples and its starts.

    Returns:
        float32 (n_starts, n_clusters, dim), each of length 1.
    """
    rng = np.random.default_rng(seed)
    graph = graph.sample(SAMPLE)
    points = graph.rows[:, 0].float()
    starts = _spectral(graph, points, n_clusters, int(rng.integers(SEEDS)))[:n_starts]
    wanted = n_starts - len(starts)
    if wanted:
        tried = max(wanted, min(MOST_TRIED, WORK // n_clusters))
        centres = [
            _of_sample(points.numpy(), n_clusters, one)
            for one in rng.integers(SEEDS, size=tried).tolist()
        ]
        labels = [(points @ found.T).argmax(dim=1).numpy() for found in centres]
        shares = [edge_shares(found, graph.neighbours, n_clusters) for found in labels]
        starts += [centres[i] for i in _best(shares, wanted)]
    return torch.stack(starts)


def affinity(graph: Graph) -> sp.csr_matrix:
    """The graph made symmetric and weighted by local scale: float64 (n, n).

    exp(−d²/(σ_i σ_j)) with σ the distance to the seventh neighbour. Source: "Self-Tuning Spectral
    Clustering", Zelnik-Manor and Perona, NIPS 2004.
    """
    near = graph.neighbours
    n, k = near.shape
    squared = (2 - 2 * graph.similarities).clamp_min_(1e-6).double()
    scale = squared[:, min(SCALE_NEIGHBOUR, k - 1)].sqrt()
    weights = torch.exp(-squared / (scale[:, None] * scale[near]))
    start = np.arange(0, n * k + 1, k)
    edges = sp.csr_matrix((weights.numpy().ravel(), near.numpy().ravel(), start), shape=(n, n))
    return (edges + edges.T) / 2


def spectral_pairs(edges: sp.csr_matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues (count,) and vectors (n, count) of D^-½ A D^-½, float64, largest first.

    Each connected part of the graph is solved alone: together they share the eigenvalue 1, of
    which Lanczos finds only some copies.
    Source: "On Spectral Clustering: Analysis and an algorithm", Ng, Jordan and Weiss, NIPS 2001.
    """
    scale = sp.diags(1 / np.sqrt(np.asarray(edges.sum(axis=1)).ravel() + 1e-12))
    normal = (scale @ edges @ scale).tocsr()
    n_parts, part = connected_components(normal, directed=False)
    found = []
    for number in range(n_parts):
        rows = np.flatnonzero(part == number)
        block = normal if n_parts == 1 else normal[rows][:, rows]
        found.append((rows, *_leading_pairs(block, min(count, len(rows)))))
    every = np.concatenate([values for _, values, _ in found])
    kept = np.argsort(-every, kind="stable")[:count]
    vectors = np.zeros((normal.shape[0], len(kept)))
    first = 0
    for rows, values, block_vectors in found:
        here = np.flatnonzero((kept >= first) & (kept < first + len(values)))
        vectors[np.ix_(rows, here)] = block_vectors[:, kept[here] - first]
        first += len(values)
    return every[kept], vectors


def _leading_pairs(normal: sp.csr_matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    if normal.shape[0] <= max(DENSE, 2 * count):
        values, vectors = np.linalg.eigh(normal.toarray())
        return values[::-1][:count], vectors[:, ::-1][:, :count]
    first = np.random.default_rng(0).normal(size=normal.shape[0])
    values, vectors = eigsh(normal, k=count, which="LA", v0=first, tol=1e-4)
    order = np.argsort(-values)
    return values[order], vectors[:, order]


def _spectral(graph: Graph, points: torch.Tensor, n_clusters: int, seed: int) -> list[torch.Tensor]:
    """Centres of the two spectral partitions; none where there are hardly more rows than K."""
    if len(points) <= n_clusters + 1:
        return []
    _, vectors = spectral_pairs(affinity(graph), min(n_clusters, MOST_VECTORS))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    labels = [_k_means(unit.astype(np.float32), n_clusters, seed + i)[1] for i in range(3)]
    labels = [max(labels, key=lambda found: _explains(found, graph, n_clusters))]
    if vectors.shape[1] == n_clusters:
        labels.append(_pivoted(vectors))
    return [centres_of(points, found, n_clusters) for found in labels]


def _best(shares: list[np.ndarray], wanted: int) -> list[int]:
    """The partitions that explain the graph best, by I / √H and by I / H in turn.

    Before training I / √H may prefer a large cluster cut in two to a small one found.
    """
    ranks = [
        np.argsort([-graph_information(one, power) for one in shares], kind="stable")
        for power in (0.5, 1.0)
    ]
    in_turn = np.stack(ranks, axis=1).ravel().tolist()
    return list(dict.fromkeys(in_turn))[:wanted]


def _explains(labels: np.ndarray, graph: Graph, n_clusters: int) -> float:
    return graph_information(edge_shares(labels, graph.neighbours, n_clusters))


def _of_sample(rows: np.ndarray, n_clusters: int, seed: int) -> torch.Tensor:
    """Centres of k-means of a small sample of the rows: float32 (K, dim)."""
    size = max(SMALL, 40 * n_clusters)
    if len(rows) > size:
        rows = rows[np.random.default_rng(seed).choice(len(rows), size, replace=False)]
    return torch.nn.functional.normalize(
        torch.from_numpy(_k_means(rows, n_clusters, seed)[0]), dim=1
    )


def _k_means(rows: np.ndarray, n_clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres float32 (K, dim) and labels (n,) of FAISS's k-means, begun by k-means++.

    scikit-learn's own would do, but its sums in several threads differ from run to run.
    """
    import faiss

    rows = np.ascontiguousarray(rows, dtype=np.float32)
    first, _ = kmeans_plusplus(rows, n_clusters, random_state=seed, n_local_trials=2)
    fitted = faiss.Kmeans(
        rows.shape[1],
        n_clusters,
        niter=15,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    fitted.train(rows, init_centroids=first)
    return np.asarray(fitted.centroids), fitted.index.search(rows, 1)[1][:, 0]


def _pivoted(vectors: np.ndarray) -> np.ndarray:
    """Labels (n,) of K eigenvectors without a start to choose.

    Source: "Simple, direct and efficient multi-way spectral clustering", Damle, Minden and Ying,
    2019, algorithm 1.
    """
    from scipy.linalg import qr, svd

    k = vectors.shape[1]
    pivots = qr(vectors.T, mode="r", pivoting=True)[1][:k]
    u, _, vt = svd(vectors[pivots].T)
    return np.abs(vectors @ (u @ vt)).argmax(axis=1)


def centres_of(points: torch.Tensor, labels: np.ndarray, n_clusters: int) -> torch.Tensor:
    """Mean direction of each cluster's rows: float32 (K, dim), of length 1; 0 if it has none."""
    sums = torch.zeros(n_clusters, points.shape[1])
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        sums.index_add_(0, torch.from_numpy(labels[part]).long(), points[part].float())
    return torch.nn.functional.normalize(sums, dim=1)
