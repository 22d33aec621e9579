"""What methods share: their result, the projected features, neighbours, k-means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

N_COMPONENTS = 200
SAMPLE = 20_000
CHUNK = 4096


@dataclass(frozen=True)
class MethodFit:
    """What a method hands back.

    Arguments:
        labels: integers (n,), one for each row it was fitted on; -1 is noise.
        predict: new features (m, views, dim) to labels (m,), judged by their plain view; None
            where the method has no such thing.
    """

    labels: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray] | None = None


class Space:
    """The projection every peer works in: PCA-200, centred, rows of length 1, fitted on view 0.

    Arguments:
        features: (n, views, dim).
        seed: of the 20,000 rows PCA is fitted on, where there are more.

    Attributes:
        views: float16 (n, views, d), the projected views.
        dim: d, at most 200.
    """

    def __init__(self, features: np.ndarray, seed: int) -> None:
        n, views, dim = features.shape
        sample = np.arange(n)
        if n > SAMPLE:
            sample = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
        self._pca = PCA(min(N_COMPONENTS, n, dim), svd_solver="covariance_eigh")
        self._pca.fit(features[sample, 0].astype(np.float32))
        self.views = torch.stack(
            [torch.from_numpy(self._project(features[:, view])) for view in range(views)], dim=1
        )
        self.dim = self.views.shape[2]

    def points(self) -> np.ndarray:
        """The plain images, float32 (n, d)."""
        return self.views[:, 0].float().numpy()

    def new(self, features: np.ndarray) -> np.ndarray:
        """Other images in the same space, by their plain view: float32 (m, d)."""
        return self._project(features[:, 0]).astype(np.float32)

    def _project(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self._pca.n_components_), np.float16)
        for start in range(0, len(rows), CHUNK):
            chunk = self._pca.transform(rows[start : start + CHUNK].astype(np.float32))
            out[start : start + CHUNK] = normalize(chunk)
        return out


def nearest(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact nearest neighbours by cosine, the point itself left out.

    Arguments:
        points: float32 (n, d), rows of length 1.
        k: how many; n - 1 at most.

    Returns:
        int64 (n, k) and their cosines, float32 (n, k).
    """
    k = min(k, len(points) - 1)
    index = faiss.IndexFlatIP(points.shape[1])
    index.add(points)
    similarity, found = index.search(points, k + 1)
    # The point itself is first except where it has an exact copy: then any place will do.
    itself = found == np.arange(len(points))[:, None]
    itself[~itself.any(axis=1), -1] = True
    return found[~itself].reshape(-1, k), similarity[~itself].reshape(-1, k)


def k_means(
    points: np.ndarray, n_clusters: int, seed: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """FAISS k-means on every row: the best of 10 starts, 50 iterations.

    Returns:
        int64 labels (n,), and a function that labels other points.
    """
    kmeans = faiss.Kmeans(
        points.shape[1],
        n_clusters,
        nredo=10,
        niter=50,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),
    )
    kmeans.train(np.ascontiguousarray(points, dtype=np.float32))

    def assign(other: np.ndarray) -> np.ndarray:
        return kmeans.assign(np.ascontiguousarray(other, dtype=np.float32))[1].astype(np.int64)

    return assign(points), assign


def k_means_plus_plus(
    points: np.ndarray, n_clusters: int, seed: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """scikit-learn's k-means, k-means++ starts, the best of 10: for embeddings of few dimensions.

    Better there than FAISS with its random starts, which are what large data can afford.

    Returns:
        int64 labels (n,), and a function that labels other points.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(points)
    return fitted.labels_.astype(np.int64), lambda other: fitted.predict(
        np.ascontiguousarray(other, dtype=np.float32)
    ).astype(np.int64)


class NeighbourPairs:
    """Pairs of an image and one of its nearest neighbours, each in a view drawn at random.

    Arguments:
        space: the projected views.
        n_neighbors: how many neighbours may be drawn.
        seed: of the pairs.

    Attributes:
        n: number of images.
    """

    def __init__(self, space: Space, n_neighbors: int, seed: int) -> None:
        self._views = space.views
        self.n, self._n_views, _ = space.views.shape
        self._neighbours = torch.from_numpy(nearest(space.points(), n_neighbors)[0])
        self._generator = torch.Generator().manual_seed(seed)

    def batches(self, size: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Shuffled epochs, one after the other: float32 (size, d) of images, and of neighbours."""
        size = min(size, self.n)
        done = 0
        while done < steps:
            order = torch.randperm(self.n, generator=self._generator)
            for images in order[: self.n - self.n % size].split(size)[: steps - done]:
                yield self._rows(images), self._rows(self._neighbour(images))
                done += 1

    def every(self, size: int = 4096) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each image once, with one neighbour."""
        for images in torch.arange(self.n).split(size):
            yield self._rows(images), self._rows(self._neighbour(images))

    def _neighbour(self, images: torch.Tensor) -> torch.Tensor:
        pick = torch.randint(self._neighbours.shape[1], (len(images),), generator=self._generator)
        return self._neighbours[images, pick]

    def _rows(self, images: torch.Tensor) -> torch.Tensor:
        view = torch.randint(self._n_views, (len(images),), generator=self._generator)
        return unit_variance(self._views[images, view].float())


def unit_variance(rows: torch.Tensor) -> torch.Tensor:
    """Rows of length 1 stretched to length sqrt(d): each number then varies by about 1.

    Networks' features are about this large, and the learning rates in papers are meant for them.
    """
    return rows * rows.shape[-1] ** 0.5
