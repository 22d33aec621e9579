"""What methods share: their result, k-means, and for those that train, a projection and pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from benchmarks.methods.data import Features, unit

N_COMPONENTS = 200
SAMPLE = 20_000
CHUNK = 4096


@dataclass(frozen=True)
class MethodFit:
    """What a method hands back.

    Arguments:
        labels: integers (n,), one for each row it was fitted on; -1 is noise.
        predict: new plain features (m, dim) to labels (m,); None where the method can't.
        confidence: plain features (m, dim) to the largest probability of each row, (m,); None
            where there are no probabilities.
        count: the estimated number of clusters (`scp.fit_scp`), where the method estimates it.
    """

    labels: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray] | None = None
    confidence: Callable[[np.ndarray], np.ndarray] | None = None
    count: dict[str, Any] = field(default_factory=dict)


def k_means(
    points: np.ndarray, n_clusters: int, seed: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """scikit-learn's k-means: k-means++ starts, the best of 10.

    Arguments:
        points: float32 (n, d).

    Returns:
        int64 labels (n,), and a function that labels other points.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(points)
    return fitted.labels_.astype(np.int64), lambda other: fitted.predict(
        np.ascontiguousarray(other, dtype=np.float32)
    ).astype(np.int64)


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


class Space:
    """PCA to 200 dimensions, centred, rows of length 1, for methods that train for long.

    Arguments:
        features: of n images, and of views of m of them.
        seed: of the 20,000 rows PCA is fitted on, where there are more.

    Attributes:
        plain: float16 (n, d). views: float16 (m, views, d).
        dim: d, at most 200.
    """

    def __init__(self, features: Features, seed: int) -> None:
        n, dim = features.plain.shape
        sample = np.arange(n)
        if n > SAMPLE:
            sample = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
        self._pca = PCA(min(N_COMPONENTS, n, dim), svd_solver="covariance_eigh")
        self._pca.fit(features.plain[sample].astype(np.float32))
        self.dim = int(self._pca.n_components_)
        self.viewed = torch.from_numpy(features.viewed)
        self.plain = torch.from_numpy(self._project(features.plain))
        flat = self._project(features.views.reshape(-1, dim))
        self.views = torch.from_numpy(flat.reshape(*features.views.shape[:2], self.dim))

    def points(self) -> np.ndarray:
        """The plain images, float32 (n, d)."""
        return self.plain.float().numpy()

    def new(self, plain: np.ndarray) -> np.ndarray:
        """Other images in the same space: (m, dim) to float32 (m, d)."""
        return self._project(plain).astype(np.float32)

    def _project(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.dim), np.float16)
        for start in range(0, len(rows), CHUNK):
            chunk = self._pca.transform(rows[start : start + CHUNK].astype(np.float32))
            out[start : start + CHUNK] = unit(chunk)
        return out


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
        self._plain, self._views = space.plain, space.views
        self.n = len(space.plain)
        # Where an image's views are; -1: it has none.
        self._place = torch.full((self.n,), -1)
        self._place[space.viewed] = torch.arange(len(space.viewed))
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
        rows, place = self._plain[images], self._place[images]
        n_views = self._views.shape[1]
        view = torch.randint(-1, n_views, (len(images),), generator=self._generator)
        drawn = (place >= 0) & (view >= 0)
        rows[drawn] = self._views[place[drawn], view[drawn]]
        return unit_variance(rows.float())


def unit_variance(rows: torch.Tensor) -> torch.Tensor:
    """Rows of length 1 stretched to length sqrt(d): each number then varies by about 1.

    Networks' features are about this large, and the learning rates in papers are meant for them.
    """
    return rows * rows.shape[-1] ** 0.5
