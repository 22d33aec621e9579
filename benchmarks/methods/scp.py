"""The one place that knows how this version of `headlight.SCP` is called."""

from __future__ import annotations

from typing import Any

import headlight
from benchmarks.methods.data import Features
from headlight import SCP


def fit_scp(scp: SCP, features: Features) -> dict[str, Any]:
    """Fits.

    Returns:
        What ``n_clusters="auto"`` found: ``estimate``, ``low``, ``high`` and ``levels``, numbers of
        clusters, the best first; empty if the number was given.
    """
    views = (features.views, features.viewed) if len(features.viewed) else ()
    scp.fit(headlight.Features(features.plain, *views))
    if scp.n_clusters != "auto":
        return {}
    count = scp.n_clusters_estimate_
    levels = [level.n_clusters for level in scp.levels_]
    return {
        "estimate": int(count.n_clusters),
        "low": int(count.low),
        "high": int(count.high),
        "levels": levels,
    }
