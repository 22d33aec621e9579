"""What is said of fitted clusters: labels of all rows, quality, and how they merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.clustering.assigning import Head
from headlight.clustering.constants import Constants
from headlight.clustering.features import Features
from headlight.clustering.hierarchy import merge_hierarchy, renumbered
from headlight.clustering.information import edge_shares
from headlight.clustering.k_means import centres_of
from headlight.clustering.labelling import label_rows
from headlight.clustering.quality import ClusterQuality, cluster_quality
from headlight.clustering.training import Fitted


@dataclass(frozen=True)
class Description:
    """Fitted clusters, the largest as cluster 0.

    Arguments:
        head: with its clusters in this order.
        labels: int64 (n,), those that it predicts.
        quality: of each of the K clusters.
        linkage: float64 (K − 1, 4), of `merge_hierarchy`.
    """

    head: Head
    labels: np.ndarray
    quality: ClusterQuality
    linkage: np.ndarray


def describe(fitted: Fitted, features: Features, constants: Constants) -> Description:
    """Describe what was fitted.

    Arguments:
        fitted: its head is changed in place.
        features: n rows, those that are labelled.
        constants: of the method.
    """
    head, labels, order = label_rows(fitted.head, fitted.projection, features, constants.sharpness)
    if fitted.of_parts is not None:
        quality, linkage = fitted.of_parts
        return Description(head, labels, quality.take(order), renumbered(linkage, order))
    k, points, near = fitted.n_clusters, fitted.graph.points.plain, fitted.graph.near
    own = labels[fitted.rows]
    shares = edge_shares(own, near(k), k)
    linkage = merge_hierarchy(shares, centres_of(points, own, k).numpy())
    return Description(head, labels, cluster_quality(own, points, fitted.others, k), linkage)
