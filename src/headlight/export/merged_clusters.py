"""Maps the head's clusters to the edited clusters, as far as that is possible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.export.result import Result


@dataclass(frozen=True)
class Folding:
    """The edited cluster that each of the head's clusters became.

    Merges of whole clusters are exact: probabilities add up. Splits and moves of single images
    can't be represented: a cluster maps to the one that holds most of its images.

    Arguments:
        clusters: the edited clusters that a prediction can be, ascending.
        target: int64 (K,), place in ``clusters`` of each of the head's clusters.
        agreement: share of the images, outliers left out, whose edited cluster is the one that
            their fitted cluster stands for.
        unreachable: edited clusters that hold images and that no prediction can be.
    """

    clusters: list[int]
    target: np.ndarray
    agreement: float
    unreachable: list[int]

    def probabilities(self, head: np.ndarray) -> np.ndarray:
        """Float32 (n, K) of the head to float32 (n, clusters)."""
        out = np.zeros((len(head), len(self.clusters)), np.float32)
        np.add.at(out.T, self.target, head.T)
        return out


def fold(result: Result, n_clusters: int) -> Folding:
    """Map each of the head's clusters to an edited cluster.

    Arguments:
        edited: the result.
        n_clusters: K, of the head.
    """
    kept = ~result.table["outlier"].to_numpy()
    fitted = result.run.assignments["cluster"].to_numpy()[kept].astype(np.int64)
    now, place = np.unique(result.table["cluster"].to_numpy()[kept], return_inverse=True)
    counts = np.zeros((n_clusters, max(len(now), 1)), np.int64)
    np.add.at(counts, (fitted, place), 1)
    became = np.arange(n_clusters)  # one without images stays what it was
    if len(now):
        some = counts.any(axis=1)
        became[some] = now[counts[some].argmax(axis=1)]
    clusters, target = np.unique(became, return_inverse=True)
    agreement = float((became[fitted] == now[place]).mean()) if len(now) else 1.0
    unreachable = sorted(set(now.tolist()) - set(clusters.tolist()))
    return Folding(clusters.tolist(), target.astype(np.int64), agreement, unreachable)
