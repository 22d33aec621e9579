"""The rows that heads learn from, and which of them are neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from headlight.clustering.neighbours import NeighbourIndex
from headlight.clustering.projection import Projection
from headlight.clustering.validation import CHUNK, Features, sample

# A small head learns nothing more from more rows, and memory and most of the time stay bounded.
MOST_ROWS = 200_000
# Neighbours of a row in the graph that starts are found on; pairs take the nearest of them.
NEIGHBOURS = 15


@dataclass(frozen=True)
class Graph:
    """Rows and their nearest neighbours among each other.

    Arguments:
        rows: float16 (n, views, dim), projected, each of length 1.
        neighbours: int64 (n, k), of view 0, nearest first.
        similarities: float32 (n, k), cosines.
        index: what finds neighbours of other rows.
    """

    rows: torch.Tensor
    neighbours: torch.Tensor
    similarities: torch.Tensor
    index: NeighbourIndex

    @classmethod
    def of(cls, rows: torch.Tensor, n_neighbors: int = NEIGHBOURS) -> Graph:
        """The graph of at least 15 neighbours, n_neighbors if that is more."""
        index = NeighbourIndex(rows[:, 0])
        near = index.among_themselves(rows[:, 0], max(NEIGHBOURS, n_neighbors))
        return cls(rows, *near, index)

    def near(self, n_clusters: int) -> torch.Tensor:
        """Neighbours that are likely in the same cluster: int64 (n, m), nearest first.

        At most half the mean cluster size: on little data 15 neighbours reach into every other
            cluster, and all rows would end in one.
        """
        return self.neighbours[:, : max(1, len(self.rows) // (2 * n_clusters))]

    def sample(self, most: int) -> Graph:
        """The graph of at most `most` rows, drawn at random."""
        n = len(self.rows)
        if n <= most:
            return self
        return Graph.of(self.rows[torch.from_numpy(sample(n, most)), :1])

    def outlier_scores(
        self, features: Features, projection: Projection, rows: np.ndarray, near: int
    ) -> np.ndarray:
        """Mean cosine distance of every row of `features` to its `near` nearest: float32 (n,).

        Arguments:
            features: all rows, of which the graph holds `rows`.
            projection: what made the graph's rows of them.
            rows: int64, sorted.
            near: neighbours that count.
        """
        scores = np.empty(features.n, dtype=np.float32)
        scores[rows] = 1 - self.similarities[:, :near].mean(dim=1).numpy()
        others = np.setdiff1d(np.arange(features.n), rows, assume_unique=True)
        for start in range(0, len(others), CHUNK):
            picked = others[start : start + CHUNK]
            near_others, _ = self.index.search(projection(features.rows(picked)), near)
            scores[picked] = 1 - near_others.clip(-1, 1).mean(axis=1)
        return scores
