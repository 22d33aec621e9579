"""Baselines, and the comparison of methods on the same features."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import mean, stdev
from typing import Any

import numpy as np

from headlight.clustering import Features
from headlight.errors import HeadlightError
from headlight.evaluation.metrics import SCORES, score

N_COMPONENTS = 200
SAMPLE = 20_000
CHUNK = 4096

Labeller = Callable[[np.ndarray], np.ndarray]
"""Features of images (m, dim) to their clusters, int64 (m,)."""


@dataclass(frozen=True)
class MethodFit:
    """A fitted method.

    Arguments:
        labels: int64 (n,), the clusters of the features it was fitted on.
        label: assigns other features.
    """

    labels: np.ndarray
    label: Labeller


Method = Callable[[Features, int, int], MethodFit]
"""Called with features of n images, number of clusters, seed."""


def compare(
    methods: dict[str, Method],
    features: Features,
    reported: np.ndarray | None,
    truth: np.ndarray,
    *,
    n_clusters: int,
    seeds: int,
    progress: Callable[[int, int], object] | None = None,
) -> list[dict[str, Any]]:
    """Fit every method with every seed, and score its clusters against the true classes.

    Arguments:
        methods: by name.
        features: of n images, to fit on.
        reported: (m, dim), to evaluate on; None: the features fitted on, m = n.
        truth: (m,) true classes.
        n_clusters: K.
        seeds: number of seeds, starting at 0.
        progress: called with the number of fits done and their total.

    Returns:
        For each method its name ("method") and acc, nmi, ari and seconds of a fit, each as mean,
        std (None with one seed) and values.

    Raises:
        HeadlightError: a method refuses the features.
    """
    total = len(methods) * seeds
    if progress:
        progress(0, total)
    judged: list[dict[str, Any]] = []
    for name, fit in methods.items():
        found: dict[str, list[float]] = {figure: [] for figure in (*SCORES, "seconds")}
        for seed in range(seeds):
            started = time.perf_counter()
            try:
                fitted = fit(features, n_clusters, seed)
            except ValueError as error:
                raise HeadlightError(f"{name}: {error}") from error
            found["seconds"].append(time.perf_counter() - started)
            clusters = fitted.labels if reported is None else fitted.label(reported)
            for figure, value in score(truth, clusters).items():
                found[figure].append(value)
            if progress:
                progress(len(judged) * seeds + seed + 1, total)
        judged.append({"method": name} | {f: _summary(values) for f, values in found.items()})
    return judged


def _summary(values: list[float]) -> dict[str, Any]:
    return {
        "mean": round(mean(values), 4),
        "std": round(stdev(values), 4) if len(values) > 1 else None,
        "values": [round(value, 4) for value in values],
    }


def k_means(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """k-means of FAISS on every row: the best of 10 starts, 50 iterations each.

    Arguments:
        features: (n, dim) float16 or float32, n at least n_clusters. Projected first: PCA to 200
            dimensions at most, centred, rows scaled to length 1.
        n_clusters: K.
        seed: 0 to 2³¹ − 1.
    """
    import faiss

    project = _projection(features, seed)
    points = project(features)
    fitted = faiss.Kmeans(
        points.shape[1],
        n_clusters,
        nredo=10,
        niter=50,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),
    )
    fitted.train(points)

    def nearest(rows: np.ndarray) -> np.ndarray:
        return fitted.assign(rows)[1].astype(np.int64)

    return MethodFit(nearest(points), lambda other: nearest(project(other)))


def umap_k_means(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """UMAP to 10 dimensions (15 neighbours, cosine, no minimal distance), then k-means.

    UMAP: McInnes, Healy & Melville 2018, arXiv:1802.03426. Other features go through its
    ``transform``. The k-means is scikit-learn's, the best of 10 k-means++ starts.

    Arguments:
        features, n_clusters, seed: see `k_means`.

    Raises:
        HeadlightError: umap-learn is not installed.
    """
    if not has_umap():
        raise HeadlightError("UMAP is not installed: pip install 'headlight-images[benchmarks]'")
    from sklearn.cluster import KMeans
    from umap import UMAP

    project = _projection(features, seed)
    points = project(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed makes it run on one core
        reducer = UMAP(
            n_components=10,
            n_neighbors=min(15, len(points) - 1),
            min_dist=0.0,
            metric="cosine",
            random_state=seed,
        )
        embedded = reducer.fit_transform(points).astype(np.float32)
    fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(embedded)

    def label(other: np.ndarray) -> np.ndarray:
        placed = reducer.transform(project(other)).astype(np.float32)
        return fitted.predict(placed).astype(np.int64)

    return MethodFit(fitted.labels_.astype(np.int64), label)


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    try:
        return bool(version("umap-learn"))  # by its name: any folder called umap can be imported
    except PackageNotFoundError:
        return False


def _projection(features: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """PCA of 20,000 rows at most; gives a map from features to float32 rows of length 1."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    n, dim = features.shape
    rows = np.arange(n)
    if n > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
    pca = PCA(min(N_COMPONENTS, n, dim), svd_solver="covariance_eigh")
    pca.fit(features[rows].astype(np.float32))

    def project(other: np.ndarray) -> np.ndarray:
        out = np.empty((len(other), pca.n_components_), np.float32)
        for start in range(0, len(other), CHUNK):
            part = other[start : start + CHUNK].astype(np.float32)
            out[start : start + CHUNK] = normalize(pca.transform(part))
        return out

    return project
