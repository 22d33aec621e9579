"""PCA: training on 200 numbers a row costs some fifty times less than on 1280."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh

from headlight.clustering.validation import Features, require_finite

SAMPLE = 20_000


@dataclass(frozen=True)
class Projection:
    """Centre, rotate onto the leading principal components, scale rows to length 1.

    Arguments:
        mean: float32 (dim,).
        components: float32 (dim, n_components), orthonormal columns, strongest first.
    """

    mean: torch.Tensor
    components: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Float32 (rows, dim) to float32 (rows, n_components), each row of length 1."""
        projected = (rows - self.mean) @ self.components
        return torch.nn.functional.normalize(projected, dim=1)


def fit_projection(features: Features, n_components: int, seed: int) -> Projection:
    """PCA of view 0 from at most 20,000 rows, read in chunks.

    Arguments:
        features: n rows.
        n_components: at most this many; fewer where dim or the number of rows allows no more.
        seed: of the sample of rows, where n is larger than the sample.

    Returns:
        A `Projection`. The sign of each component is fixed (largest entry positive).
    """
    if features.n <= SAMPLE:
        sample = np.arange(features.n)
    else:
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.choice(features.n, SAMPLE, replace=False))
    # Sums relative to the first rows: features far from the origin keep their digits in float32.
    origin = features.rows(sample[:1])[0]
    total = torch.zeros(features.dim, dtype=torch.float64)
    scatter = torch.zeros(features.dim, features.dim, dtype=torch.float64)
    for start in range(0, len(sample), 4096):
        picked = sample[start : start + 4096]
        rows = features.rows(picked)
        require_finite(rows, picked)
        rows -= origin
        total += rows.sum(dim=0, dtype=torch.float64)
        scatter += rows.T @ rows
    shift = total / len(sample)
    scatter -= len(sample) * torch.outer(shift, shift)
    kept = min(n_components, features.dim, max(1, len(sample) - 1))
    # Float64, and the leading vectors only: in float32 LAPACK's divide and conquer returned NaN
    # where there are fewer rows than features.
    leading = [features.dim - kept, features.dim - 1]
    _, vectors = eigh(scatter.numpy(), subset_by_index=leading, overwrite_a=True)
    components = torch.from_numpy(vectors).float().flip(1)
    largest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    return Projection((origin.double() + shift).float(), components.contiguous())


def project(features: Features, projection: Projection) -> torch.Tensor:
    """All rows and views, projected: float16 (n, views, n_components).

    float16 because it is what training reads at random, and 50 million rows must fit.
    """
    width = projection.components.shape[1]
    out = torch.empty(features.n, features.views, width, dtype=torch.float16)
    for view in range(features.views):
        for start, rows in features.chunks(view):
            out[start : start + len(rows), view] = projection(rows).half()
    return out
