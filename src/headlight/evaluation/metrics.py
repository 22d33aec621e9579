"""How well clusters match known classes: accuracy, NMI, ARI and the confusion table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

SCORES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI"}
"""The scores of `score`, and what they are called."""


class Confusion(NamedTuple):
    """Classes against clusters.

    Arguments:
        table: int64 (classes, clusters), how many rows of each class fell in each cluster.
        classes: (classes,), the distinct labels, sorted: names of the table's rows.
        clusters: (clusters,), the distinct clusters, sorted: names of its columns.
        matching: int64 (pairs, 2), row and column of the one-to-one matching that puts the most
            rows on it; min(classes, clusters) pairs.
    """

    table: np.ndarray
    classes: np.ndarray
    clusters: np.ndarray
    matching: np.ndarray


def confusion(labels: Any, clusters: Any) -> Confusion:
    """Count classes against clusters and match them one to one (Hungarian method).

    Arguments:
        labels: (n,), known classes; numbers or strings.
        clusters: (n,), clusters; numbers or strings. There may be more or fewer of them than
            classes.

    Raises:
        ValueError: not one-dimensional, of different lengths, or empty.
    """
    labels, clusters = _checked(labels, clusters)
    classes, row = np.unique(labels, return_inverse=True)
    names, column = np.unique(clusters, return_inverse=True)
    table = np.zeros((len(classes), len(names)), dtype=np.int64)
    np.add.at(table, (row, column), 1)
    matching = np.stack(linear_sum_assignment(table, maximize=True), axis=1)
    return Confusion(table, classes, names, matching)


def clustering_accuracy(labels: Any, clusters: Any) -> float:
    """Share of rows on the best one-to-one matching of clusters to classes; 1 is perfect.

    With more clusters than classes the surplus clusters count as wrong, and the other way round.

    Arguments and errors as for `confusion`.
    """
    table, _, _, matching = confusion(labels, clusters)
    return float(table[matching[:, 0], matching[:, 1]].sum() / table.sum())


def normalized_mutual_info(labels: Any, clusters: Any) -> float:
    """Mutual information over the mean of the two entropies, 0 to 1.

    Arguments and errors as for `confusion`.
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_checked(labels, clusters)))


def adjusted_rand(labels: Any, clusters: Any) -> float:
    """Agreement on pairs of rows beyond chance: 1 is perfect, 0 is chance.

    Arguments and errors as for `confusion`.
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_checked(labels, clusters)))


def score(labels: Any, clusters: Any) -> dict[str, float]:
    """The standard scores: {"acc", "nmi", "ari"}.

    Arguments and errors as for `confusion`.
    """
    return {
        "acc": clustering_accuracy(labels, clusters),
        "nmi": normalized_mutual_info(labels, clusters),
        "ari": adjusted_rand(labels, clusters),
    }


def _checked(labels: Any, clusters: Any) -> tuple[np.ndarray, np.ndarray]:
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    for name, values in (("labels", labels), ("clusters", clusters)):
        if values.ndim != 1:
            raise ValueError(f"{name} must be one-dimensional, got shape {values.shape}.")
    if len(labels) != len(clusters):
        raise ValueError(f"labels has {len(labels)} rows, clusters has {len(clusters)}.")
    if len(labels) == 0:
        raise ValueError("labels and clusters are empty.")
    return labels, clusters
