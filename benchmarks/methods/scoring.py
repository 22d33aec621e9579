"""Scores of one fit against the true classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from headlight.evaluation import confusion, score

BINS = 15


def scored(
    classes: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None = None
) -> dict[str, Any]:
    """ACC, NMI, ARI and, if there are confidences, their expected calibration error.

    Arguments:
        classes: integers (n,).
        labels: integers (n,), -1 is noise.
        confidence: (n,), the largest probability of each row.

    Raises:
        ValueError: there is not one label for each row.
    """
    if labels.shape != classes.shape:
        raise ValueError(f"{len(classes)} rows were given, labels have shape {labels.shape}")
    return {
        "n": len(labels),
        "n_clusters": len(np.unique(classes)),
        "found": len(np.unique(labels[labels >= 0])),
        "noise": float((labels < 0).mean()),
        "ece": None if confidence is None else calibration_error(classes, labels, confidence),
    } | score(classes, labels)


def calibration_error(classes: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> float:
    """Expected calibration error: Guo et al., arXiv:1706.04599, equation (3), 15 equal bins.

        ECE = Σ_b (n_b / n) |accuracy of bin b - mean confidence of bin b|

    A row is right if the Hungarian method matches its cluster to its class.

    Arguments:
        classes, labels: integers (n,).
        confidence: (n,), 0 to 1.
    """
    _, names, clusters, matching = confusion(classes, labels)
    class_of = {clusters[column]: names[row] for row, column in matching}
    right = np.array([class_of.get(one) == true for one, true in zip(labels, classes, strict=True)])
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    surplus = np.bincount(at, weights=right - confidence.astype(np.float64), minlength=BINS)
    return float(np.abs(surplus).sum() / len(labels))
