"""Calibration without labels: a temperature matches confidence to what the graph suggests."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import brentq

from headlight.clustering.assigning import Head, head_logits
from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import CHUNK, Features, sample
from headlight.clustering.k_means import k_means
from headlight.clustering.projection import Projection

COLDEST, HOTTEST = 0.05, 50.0
LOGITS, LEAST_ROWS = 2**26, 256  # that a temperature is fitted on, at most; and rows, at least


def calibrate(
    head: Head,
    projection: Projection,
    features: Features,
    *,
    labels: np.ndarray,
    neighbours: torch.Tensor,
    rows: np.ndarray,
    constants: Constants = ROBUST,
) -> float:
    """Divide the logits by the temperature at which mean confidence is what the graph suggests.

    That is s^3.5, s the share of edges inside clusters. Where neighbours are torn apart, rows are
    in the wrong cluster; the power is fitted to data sets (docs/research-notes.md).

    Arguments:
        head, projection: fitted; the head is changed in place.
        features: all rows.
        labels: int64 (n,), the head's.
        neighbours: int64 (n, k), of the same rows.
        rows: int64 (n,), the rows these are of; the temperature is fitted on some of them.
        constants: the power, and how many rows.

    Returns:
        The temperature, 1 at least: confidence is taken away and never added.
    """
    most = min(constants.temperature_rows, max(LEAST_ROWS, LOGITS // head.n_clusters))
    judged = torch.from_numpy(rows[sample(len(rows), most)])
    logits = torch.cat(
        [
            logits
            for part in judged.split(CHUNK)
            for _, logits in head_logits(head, projection, Features(features.rows(part.numpy())))
        ]
    )
    inside = float((labels[neighbours.numpy()] == labels[:, None]).mean())
    temperature = max(1.0, fit_temperature(logits, inside**constants.confidence_power))
    head.scale_logits(temperature)
    return temperature


def fit_temperature(logits: torch.Tensor, target: float) -> float:
    """The T at which the mean of max softmax(logits / T) is `target`.

    That mean falls as T rises, so there is one such T. The search is from 0.05 to 50; outside of
    that, the nearer end is returned. Temperature scaling: "On Calibration of Modern Neural
    Networks", ICML 2017, arXiv:1706.04599, with a target in place of labels.

    Arguments:
        logits: float32 (n, K).
        target: the mean confidence to reach, 0 to 1.

    Returns:
        1.0 where K = 1: confidence is 1 at any T.

    Raises:
        ValueError: no rows, or a target that is not between 0 and 1.
    """
    if len(logits) == 0:
        raise ValueError("logits has no rows: there is nothing to fit a temperature on.")
    if not 0 <= target <= 1:
        raise ValueError(f"target must lie between 0 and 1, got {target}.")
    if logits.shape[1] == 1:
        return 1.0
    # Relative to the largest: its share is 1 / Σ exp, and nothing overflows.
    below = logits.float() - logits.float().max(dim=1, keepdim=True).values

    def excess(log_temperature: float) -> float:
        shares = (below / math.exp(log_temperature)).exp_().sum(dim=1).reciprocal_()
        return float(shares.mean(dtype=torch.float64)) - target

    low, high = math.log(COLDEST), math.log(HOTTEST)
    if excess(low) <= 0:
        return COLDEST
    if excess(high) >= 0:
        return HOTTEST
    return math.exp(brentq(excess, low, high, xtol=1e-4))


def resampled_partitions(
    points: torch.Tensor, n_clusters: int, constants: Constants = ROBUST
) -> np.ndarray:
    """Labels of all rows by the centres of k-means of random halves: int64 (resamples, n).

    Of another method and other rows, for heads trained on the same graph share its errors: they
    agree on 98 of 100 rows where 75 are right. The same parts every time, whatever the seed.

    Arguments:
        points: float16 or float32 (n, dim), n at least n_clusters.
        n_clusters: K.
        constants: how many, and how many rows a half has at most.
    """
    n, most = (
        len(points),
        max(constants.resample_rows, constants.resample_cluster_rows * n_clusters),
    )
    size = max(n_clusters, min(n // 2, most))
    labels = np.empty((constants.resamples, n), dtype=np.int64)
    for i in range(constants.resamples):
        part = np.random.default_rng(i).choice(n, size, replace=False)
        centres = torch.from_numpy(k_means(points[np.sort(part)].float().numpy(), n_clusters, i)[0])
        # The nearest of centres that are not of length 1.
        half = (centres**2).sum(dim=1) / 2
        for start in range(0, n, CHUNK):
            some = points[start : start + CHUNK].float()
            labels[i, start : start + CHUNK] = (some @ centres.T - half).argmax(dim=1)
    return labels
