"""How sure to be, without labels: a temperature that brings confidence down to what heads share."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import brentq, linear_sum_assignment

COLDEST, HOTTEST = 0.05, 50.0
# Rows that a temperature is fitted on: a mean over more is the same mean.
ENOUGH = 50_000


def head_agreement(labels: np.ndarray, chosen: int, n_clusters: int) -> float:
    """Share of rows that another head puts in the same cluster as the chosen one, over the others.

    Clusters of the other head are matched to the chosen one's by the Hungarian method. Two models
    trained apart disagree about as often as one of them errs, no labels needed: "Assessing
    Generalization of SGD via Disagreement", ICLR 2022, arXiv:2106.13799.

    Arguments:
        labels: int64 (heads, n), 0 to K − 1, each head's cluster of every row.
        chosen: the head that others are compared with.
        n_clusters: K.

    Returns:
        1.0 where there is no other head.

    Raises:
        ValueError: no rows, or no such head.
    """
    n_heads, n = labels.shape
    if n == 0 or not 0 <= chosen < n_heads:
        raise ValueError(f"labels has shape {labels.shape}: no rows, or no head {chosen}.")
    shares = []
    for head in range(n_heads):
        if head == chosen:
            continue
        table = np.bincount(labels[chosen] * n_clusters + labels[head], minlength=n_clusters**2)
        table = table.reshape(n_clusters, n_clusters)
        shares.append(table[linear_sum_assignment(table, maximize=True)].sum() / n)
    return float(np.mean(shares)) if shares else 1.0


def likely_accuracy(labels: np.ndarray, chosen: int, n_clusters: int) -> float:
    """The mean confidence to aim at: the square of `head_agreement`.

    Heads learn from the same rows and the same graph, so they share errors that independent models
    would not, and agreement is above accuracy on all data tried, most where clusters are
    worst. Its square is an empirical correction, not a law: on digits, Caltech-101, CIFAR-10 and
    subsets of them it cut the expected calibration error of the plain agreement by a half on
    average, and was worse once in nine fits.

    Arguments, returns and errors as for `head_agreement`.
    """
    return head_agreement(labels, chosen, n_clusters) ** 2


def fit_temperature(logits: torch.Tensor, target: float) -> float:
    """The T at which the mean of max softmax(logits / T) is `target`.

    That mean falls as T rises, so there is one such T; it is sought from 0.05 to 50, and the
    nearer end is returned where it lies outside. Temperature scaling: "On Calibration of Modern
    Neural Networks", ICML 2017, arXiv:1706.04599, with a target in place of labels.

    Arguments:
        logits: float32 (n, K); of more than 50,000 rows every so manieth is used.
        target: mean confidence wanted, 0 to 1.

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
    some = logits[:: math.ceil(len(logits) / ENOUGH)]
    # Relative to the largest: its share is 1 / Σ exp, and nothing overflows.
    below = some.float() - some.float().max(dim=1, keepdim=True).values

    def excess(log_temperature: float) -> float:
        shares = (below / math.exp(log_temperature)).exp_().sum(dim=1).reciprocal_()
        return float(shares.mean(dtype=torch.float64)) - target

    low, high = math.log(COLDEST), math.log(HOTTEST)
    if excess(low) <= 0:
        return COLDEST
    if excess(high) >= 0:
        return HOTTEST
    return math.exp(brentq(excess, low, high, xtol=1e-4))
