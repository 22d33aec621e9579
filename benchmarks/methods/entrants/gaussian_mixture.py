"""Gaussian mixture by expectation maximisation."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from benchmarks.methods.base import MethodFit, Space

NAME = "gaussian-mixture"


def fit(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    Diagonal covariances: the principal components are uncorrelated to begin with, and a full
    covariance (200 × 200) needs more rows than a cluster of most data has. Started from k-means,
    100 iterations at most.
    """
    space = Space(features, seed)
    mixture = GaussianMixture(n_clusters, covariance_type="diag", reg_covar=1e-5, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = mixture.fit_predict(space.points())
    return MethodFit(labels, lambda other: mixture.predict(space.new(other)))
