"""Ours: SCP, recipe "robust", not told the number of clusters."""

from __future__ import annotations

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features
from benchmarks.methods.scp import fit_scp
from headlight import SCP

WITH_VIEWS = True
WARM_UP = True


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`. `n_clusters` is not used."""
    scp = SCP("auto", random_state=seed)
    count = fit_scp(scp, features)
    return MethodFit(scp.labels_, scp.predict, count=count)
