"""Clustering of features: the estimator and its parts."""

from __future__ import annotations

from headlight.clustering.recipes import RECIPES, Recipe
from headlight.clustering.scp import SCP

__all__ = ["RECIPES", "SCP", "Recipe"]
