"""k-means: the best of 10 starts."""

from __future__ import annotations

from benchmarks.methods import base
from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features, unit


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`."""
    labels, assign = base.k_means(features.unit(), n_clusters, seed)
    return MethodFit(labels, lambda plain: assign(unit(plain)))
