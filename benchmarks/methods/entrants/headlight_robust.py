"""Ours: SCP, recipe "robust", on the features as they are."""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import MethodFit
from headlight import SCP

NAME = "headlight-robust"
VIEWS = ("one", "several")
WARM_UP = True


def fit(features: np.ndarray, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`."""
    scp = SCP(n_clusters, recipe="robust", random_state=seed).fit(features)
    return MethodFit(scp.labels_, scp.predict)
