"""Clustering of features: the estimator and its parts."""

from __future__ import annotations

from headlight.clustering.constants import Constants, PaperConstants
from headlight.clustering.features import Features
from headlight.clustering.scp import SCP

__all__ = ["SCP", "Constants", "Features", "PaperConstants"]
