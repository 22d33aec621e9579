"""Scores of a clustering against known labels."""

from __future__ import annotations

from headlight.evaluation.labels import read_labels
from headlight.evaluation.metrics import (
    SCORES,
    Confusion,
    adjusted_rand,
    clustering_accuracy,
    confusion,
    normalized_mutual_info,
    score,
)

__all__ = [
    "SCORES",
    "Confusion",
    "adjusted_rand",
    "clustering_accuracy",
    "confusion",
    "normalized_mutual_info",
    "read_labels",
    "score",
]
