"""The position of each image on the map: by UMAP, or on a plane if UMAP isn't installed."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.sparse import csr_array

from headlight.runs.projected import centre_of, unit
from headlight.runs.tables import members_of

CHUNK = 4096
SAMPLE = 15_000  # rows laid out by UMAP; the others go between them
DIMS = 64  # dimensions neighbours are sought in: the leading ones of the model's projection
NEIGHBOURS = 15
EPOCHS = 200
PLACED_BY = 5  # sampled rows that place one that is not
# Fewer rows than this have few neighbourhoods to speak of, and UMAP takes seconds to compile.
LEAST = 100
SEED = 0


def map_points(rows: np.ndarray) -> np.ndarray:
    """What the map is made of: the directions in which views and neighbours agree.

    Arguments:
        rows: float16 (n, d), of `headlight.runs.projected.project`.

    Returns:
        float32 (n, ≤ 64), rows of length 1, or 0 where a row has no direction.
    """
    return unit(rows[:, :DIMS].astype(np.float32))


def image_map(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A map on which images are near their neighbours.

    UMAP (`umap-learn`, extra ``explore``) of a fair sample of at most 15,000 rows, started from the
    plane that spreads the clusters most; every other row goes to the weighted mean of its nearest
    sampled rows. The same input gives bit-identical maps. Without umap-learn, or with fewer than
    100 rows, the map is that plane.

    Arguments:
        points: float32 (n, d), rows of length 1, of `map_points`.
        labels: (n,) integers from 0, the cluster of each row.

    Returns:
        float32 (n, 2), finite, without units; the larger extent is from −1 to 1.
    """
    plane = _scaled(centre_plane(points, labels))
    if len(points) < LEAST:
        return plane
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tensorflow is missing
            from umap import umap_ as umap
    except ImportError:
        return plane
    rows = fair_sample(labels, SAMPLE)
    graph = fuzzy_graph(*_nearest(points[rows], points[rows], min(NEIGHBOURS, len(rows))))
    # Equal starts would never part.
    start = plane[rows] * 10 + np.random.default_rng(SEED).normal(0, 0.01, (len(rows), 2))
    a, b = umap.find_ab_params(spread=1.0, min_dist=0.35)
    laid, _ = umap.simplicial_set_embedding(
        data=points[rows],
        graph=graph,
        n_components=2,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=EPOCHS,
        init=start.astype(np.float32),
        random_state=np.random.RandomState(SEED),
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
    )
    return _scaled(_placed(points, rows, laid))


def centre_plane(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The plane that spreads the clusters' centres most: their first two principal axes.

    Arguments:
        points: float32 (n, dim), rows of length 1.
        labels: (n,) integers from 0.

    Returns:
        float32 (n, 2).
    """
    clusters = members_of(labels, int(labels.max(initial=0)) + 1)
    centres = np.stack([centre_of(points, members) for members in clusters])
    axes = np.linalg.svd(centres - centres.mean(0), full_matrices=False)[2][:2]
    # An axis may point either way: its largest part is made positive.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    plane = np.zeros((len(points), 2), np.float32)
    plane[:, : len(axes)] = points @ axes.T
    return plane


def fair_sample(labels: np.ndarray, count: int) -> np.ndarray:
    """Positions of at most ``count`` rows, sorted: half the places shared equally by the clusters.

    Arguments:
        labels: (n,) integers.
        count: 1 or more.

    Returns:
        int64 (min(n, count),), the same for the same input.
    """
    if len(labels) <= count:
        return np.arange(len(labels))
    order = np.random.default_rng(SEED).permutation(len(labels))
    _, place = np.unique(labels, return_inverse=True)
    by_cluster = order[np.argsort(place[order], kind="stable")]
    sizes = np.bincount(place)
    rank = np.empty(len(labels), np.int64)
    rank[by_cluster] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first = rank[order] < max(1, count // (2 * len(sizes)))
    return np.sort(np.concatenate([order[first], order[~first]])[:count])


def _nearest(points: np.ndarray, among: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances float32 and positions int64 (n, count) of the nearest of ``among``."""
    import faiss

    index = faiss.IndexFlatL2(among.shape[1])
    index.add(among)
    squared, near = index.search(points, count)
    return np.sqrt(np.maximum(squared, 0)), near


def fuzzy_graph(distances: np.ndarray, near: np.ndarray) -> csr_array:
    """UMAP's weighted graph, (n, n): how likely an edge is, seen from either end.

    A neighbour at distance d of a row has weight exp(−(d − ρ) / σ), ρ the least distance above 0
    and σ such that a row's weights add up to log₂ k; a and b make a + b − ab of both ends. "UMAP",
    McInnes, Healy and Melville 2018, section 3.1. In NumPy: umap-learn's own takes seconds to
    compile in every process.

    Arguments:
        distances: float32 (n, k).
        near: int64 (n, k), the row itself among them or, where many are equal, not.
    """
    n, k = near.shape
    itself = near == np.arange(n)[:, None]
    there = (distances > 0) & ~itself
    rho = np.where(there, distances, np.inf).min(1, keepdims=True)
    beyond = np.maximum(distances - np.where(np.isfinite(rho), rho, 0), 0).astype(np.float64)
    low, high = np.full((n, 1), 1e-6), np.full((n, 1), 1e3)
    for _ in range(48):
        sigma = np.sqrt(low * high)
        above = np.where(itself, 0, np.exp(-beyond / sigma)).sum(1, keepdims=True) > np.log2(k)
        low, high = np.where(above, low, sigma), np.where(above, sigma, high)
    weights = np.where(itself, 0, np.exp(-beyond / np.sqrt(low * high)))
    rows = np.repeat(np.arange(n), k)
    graph = csr_array((weights.ravel().astype(np.float32), (rows, near.ravel())), shape=(n, n))
    other = graph.T.tocsr()
    both = (graph + other - graph * other).tocsr()
    both.eliminate_zeros()
    both.sort_indices()
    return both


def _placed(points: np.ndarray, rows: np.ndarray, laid: np.ndarray) -> np.ndarray:
    """float32 (n, 2): sampled rows where they were laid, the others among their nearest."""
    xy = np.empty((len(points), 2), np.float32)
    xy[rows] = laid
    others = np.setdiff1d(np.arange(len(points)), rows)
    xy[others] = placed_among(points[others], points[rows], laid)
    return xy


def placed_among(points: np.ndarray, among: np.ndarray, laid: np.ndarray) -> np.ndarray:
    """Where points belong on a map that others are on: at the weighted mean of their nearest.

    Arguments:
        points: float32 (m, d), of `map_points`.
        among: float32 (n, d), those that are on the map.
        laid: float32 (n, 2), where.

    Returns:
        float32 (m, 2).
    """
    xy = np.empty((len(points), 2), np.float32)
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        distances, near = _nearest(points[part], among, min(PLACED_BY, len(among)))
        # Sharp weights: a mean of places in two clusters would be a place in neither.
        nearest = np.maximum(distances[:, :1], 1e-6)
        weights = np.exp(-((distances / nearest) ** 2 - 1) * 8)
        weights /= weights.sum(1, keepdims=True)
        xy[part] = np.einsum("nk,nkd->nd", weights, laid[near])
    return xy


def _scaled(xy: np.ndarray) -> np.ndarray:
    """Centred, turned so that it is widest from left to right, the larger extent from −1 to 1."""
    xy = xy - xy.mean(0, dtype=np.float64)
    axes = np.linalg.eigh(xy.T @ xy)[1][:, ::-1]
    axes *= np.where(axes[0] + axes[1] < 0, -1, 1)
    xy = xy @ axes
    low, high = xy.min(0), xy.max(0)
    return ((xy - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-12)).astype(np.float32)
