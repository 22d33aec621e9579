"""Ours: SCP, recipe "paper"."""

from __future__ import annotations

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features
from benchmarks.methods.scp import fit_scp
from headlight import SCP

WITHOUT_VIEWS = False
WITH_VIEWS = True
WARM_UP = True


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`. It learns from the images that have views, 4,000 at most."""
    scp = SCP(n_clusters, recipe="paper", random_state=seed)
    fit_scp(scp, features)
    return MethodFit(scp.labels_, scp.predict, lambda plain: scp.predict_proba(plain).max(axis=1))
