"""Gaussian mixture by expectation maximisation."""

from __future__ import annotations

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features, unit


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    Diagonal covariances: a full one (1,280 × 1,280) needs more rows than a cluster of most data
    has. Started from k-means, 100 iterations at most; `reg_covar` is a hundredth of the mean
    variance of a feature, since scikit-learn's 1e-6 is meant for data of unit variance.
    """
    points = features.unit()
    floor = 0.01 * float(points.var(axis=0).mean())
    mixture = GaussianMixture(
        n_clusters, covariance_type="diag", reg_covar=floor, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = mixture.fit_predict(points)
    return MethodFit(labels, lambda plain: mixture.predict(unit(plain)))
