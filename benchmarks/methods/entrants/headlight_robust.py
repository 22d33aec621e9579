"""Ours: SCP, recipe "robust"."""

from __future__ import annotations

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features
from benchmarks.methods.scp import fit_scp
from headlight import SCP

WITH_VIEWS = True
WARM_UP = True


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`."""
    scp = SCP(n_clusters, random_state=seed)
    fit_scp(scp, features)
    return MethodFit(scp.labels_, scp.predict, lambda plain: scp.predict_proba(plain).max(axis=1))
