"""What training reads: few directions, those in which positive pairs agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh

from headlight.clustering.constants import ROBUST, Constants
from headlight.clustering.features import CHUNK, Features, require_finite
from headlight.clustering.neighbours import nearest_neighbours
from headlight.clustering.threads import one_blas_thread

PART = 512


@dataclass(frozen=True)
class Projection:
    """Centre, map onto a few directions, scale rows to length 1.

    Arguments:
        mean: float32 (dim,).
        components: float32 (dim, n_components), strongest first.
    """

    mean: torch.Tensor
    components: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Float32 (rows, dim) to float32 (rows, n_components), each row of length 1."""
        projected = (rows - self.mean) @ self.components
        return torch.nn.functional.normalize(projected, dim=1)


def fit_projections(
    features: Features,
    n_components: int,
    blocks: Sequence[int] | None = None,
    constants: Constants = ROBUST,
    *,
    used: np.ndarray | None = None,
    kinds: Sequence[str] = ("principal", "neighbours", "views"),
) -> dict[str, Projection]:
    """Directions of the features, found in up to three ways.

    "principal": those that vary most.

    "neighbours": a principal component that changes between neighbours says little of what an image
    shows. With T the covariance of the principal features and W that of the differences within
    pairs, halved, the directions solve T u = λ W u, scaled to uᵀWu = 1. ρ = 1 − 1/λ is then the
    share of a direction's variance that a pair has in common, its intraclass correlation, and each
    direction is weighted by it, as a Wiener filter would. Related: within-class covariance
    normalisation (Hatch et al. 2006) with pairs for classes.

    "views": the same, with the views of an image as pairs first, and, in the space they give,
    neighbours in any views second. Only where there are views.

    Arguments:
        features: n rows, of which at most `projection_rows` are read.
        n_components: at most this many; fewer where the data allow no more.
        blocks: lengths of the parts of a row that come from different encoders.
        constants: of the method.
        used: bool (n_blocks,), the encoders that count; the others' directions are zero. None: all.
        kinds: those wanted.

    Raises:
        ValueError: rows that are not finite, or too large for float32 sums.
    """
    if used is not None and blocks is not None and not used.all():
        columns = np.flatnonzero(np.repeat(used, blocks))
        kept = [width for width, one in zip(blocks, used, strict=True) if one]
        part = features.columns(columns)
        narrow = fit_projections(part, n_components, kept, constants, kinds=kinds)
        return {kind: _widened(one, columns, features, constants) for kind, one in narrow.items()}
    read = features.sample(constants.projection_rows)
    principal = _principal(features, read, constants.principal, blocks)
    found = {"principal": Projection(principal.mean, principal.components[:, :n_components])}

    def centred(part: torch.Tensor) -> torch.Tensor:
        return (part - principal.mean) @ principal.components

    views = features.n_views if "views" in kinds else 1
    rows = _in_all_views(features, read, views, centred, principal.components.shape[1])
    for kind in ("neighbours", "views") if features.n_views > 1 else ("neighbours",):
        if kind in kinds:
            some = rows if kind == "views" else rows[:, :1]
            viewed = features.has_views(read) if kind == "views" else np.zeros(len(read), bool)
            weighted = _where_pairs_agree(some, viewed, n_components, constants)
            directions = (principal.components @ weighted).contiguous()
            found[kind] = Projection(principal.mean, directions)
    return {kind: found[kind] for kind in kinds if kind in found}


def fit_projection(
    features: Features,
    n_components: int,
    blocks: Sequence[int] | None = None,
    constants: Constants = ROBUST,
) -> Projection:
    """That of `fit_projections` that uses most: views if there are any, else neighbours."""
    kind = "views" if features.n_views > 1 else "neighbours"
    return fit_projections(features, n_components, blocks, constants, kinds=(kind,))[kind]


def _widened(
    narrow: Projection, columns: np.ndarray, features: Features, constants: Constants
) -> Projection:
    """The same projection of rows with all features, int64 `columns` of which it was fitted on."""
    read = features.sample(constants.projection_rows)
    mean = torch.zeros(features.dim, dtype=torch.float64)
    for start in range(0, len(read), CHUNK):
        mean += features.rows(read[start : start + CHUNK]).sum(dim=0, dtype=torch.float64)
    components = torch.zeros(features.dim, narrow.components.shape[1])
    components[columns] = narrow.components
    return Projection((mean / len(read)).float(), components)


def project(
    features: Features, projection: Projection, index: np.ndarray | None = None
) -> Features:
    """Rows and their views, projected: float16 tensors, n_components wide, rows of length 1.

    float16 because it is what training reads at random, and many rows must fit.

    Arguments:
        features: n rows.
        projection: fitted on them.
        index: int64 (rows,), sorted; None: all.
    """
    index = np.arange(len(features)) if index is None else index
    width, viewed = projection.components.shape[1], np.flatnonzero(features.has_views(index))
    plain = torch.empty(len(index), width, dtype=torch.float16)
    for part, rows in _read(features, index, 0):
        plain[part] = projection(rows)
    if not len(viewed):
        return Features(plain)
    views = torch.empty(len(viewed), features.n_views - 1, width, dtype=torch.float16)
    for view in range(1, features.n_views):
        for part, rows in _read(features, index[viewed], view):
            views[part, view - 1] = projection(rows)
    return Features(plain, views, viewed)


def _read(features: Features, index: np.ndarray, view: int) -> Iterator[tuple[slice, torch.Tensor]]:
    """The rows `index` in one view, some at a time: which of `index`, and float32 (some, dim)."""
    for start in range(0, len(index), CHUNK):
        some = index[start : start + CHUNK]
        rows = features.rows(some, view)
        require_finite(rows, some)
        yield slice(start, start + len(some)), rows


def _in_all_views(
    features: Features,
    index: np.ndarray,
    views: int,
    transform: Callable[[torch.Tensor], torch.Tensor],
    width: int,
) -> torch.Tensor:
    """The rows `index` in their first `views` views, transformed: float32 (rows, views, width).

    Where a row has no such view, its plain one.
    """
    out = torch.empty(len(index), views, width)
    for part, rows in _read(features, index, 0):
        out[part] = transform(rows)[:, None]
    viewed = np.flatnonzero(features.has_views(index))
    for view in range(1, views):
        for part, rows in _read(features, index[viewed], view):
            out[viewed[part], view] = transform(rows)
    return out


def _principal(
    features: Features, read: np.ndarray, n_components: int, blocks: Sequence[int] | None
) -> Projection:
    """PCA of view 0 of the rows in `read`, read in chunks.

    Components are orthonormal; with blocks, those of features scaled so that each block has
    variance 1 in all, times that scale.
    """
    # Sums relative to the first row: features far from the origin keep their digits in float32.
    origin = features.rows(read[:1])[0]
    total = torch.zeros(features.dim, dtype=torch.float64)
    scatter = torch.zeros(features.dim, features.dim, dtype=torch.float64)
    for _, rows in _read(features, read, 0):
        relative = rows - origin
        total += relative.sum(dim=0, dtype=torch.float64)
        scatter += relative.T @ relative
    shift = total / len(read)
    scatter.addr_(shift, shift, alpha=-len(read))
    if not torch.isfinite(scatter).all():
        raise ValueError("X holds values whose squares overflow float32: scale X down.")
    kept = min(n_components, features.dim, max(1, len(read) - 1))
    scale = _block_scale(scatter.diagonal() / len(read), blocks)
    scatter.mul_(scale).mul_(scale[:, None])
    vectors = torch.from_numpy(_leading(scatter.numpy(), None, kept)[1])
    return Projection((origin.double() + shift).float(), (vectors * scale[:, None]).float())


def _block_scale(variance: torch.Tensor, blocks: Sequence[int] | None) -> torch.Tensor:
    """What to multiply each feature by for each block to have variance 1 in all: float64 (dim,)."""
    if blocks is None:
        return torch.ones_like(variance)
    sums = [part.sum().clamp_min(1e-12) for part in variance.split(list(blocks))]
    return torch.cat([s.rsqrt().expand(width) for s, width in zip(sums, blocks, strict=True)])


def _covariance(parts: Iterable[torch.Tensor]) -> torch.Tensor:
    """Mean outer product of the rows (…, d) of all parts: float64 (d, d)."""
    scatter, count = torch.zeros(()), 0
    for part in parts:
        flat = part.reshape(-1, part.shape[-1])
        scatter = scatter + (flat.T @ flat).double()
        count += len(flat)
    return scatter / count


def _where_pairs_agree(
    rows: torch.Tensor, viewed: np.ndarray, n_components: int, constants: Constants
) -> torch.Tensor:
    """Weighted directions of the rows float32 (n, views, d): float32 (d, n_components).

    Arguments:
        viewed: bool (n,), the rows whose views differ.
    """
    mean = rows.mean(dim=(0, 1))
    total = _covariance(part - mean for part in rows.split(PART))
    points = rows[:, 0]
    if viewed.any():
        # Of so many differences from their mean, all but one are free.
        free = rows.shape[1] / (rows.shape[1] - 1)
        seen = torch.from_numpy(np.flatnonzero(viewed)).split(PART)
        within = _covariance(rows[part] - rows[part].mean(dim=1, keepdim=True) for part in seen)
        shrinkage = constants.shrinkage_views
        points = points @ _agreeing(total, free * within, n_components, shrinkage, constants)
    points = torch.nn.functional.normalize(points, dim=1)
    within = _between_neighbours(rows, points, constants.projection_neighbors)
    return _agreeing(total, within, n_components, constants.shrinkage_neighbors, constants)


def _between_neighbours(rows: torch.Tensor, points: torch.Tensor, n_neighbors: int) -> torch.Tensor:
    """Half the covariance of differences between neighbours, in random views: (d, d) float64."""
    n, views, _ = rows.shape
    generator = torch.Generator().manual_seed(0)
    neighbours, _ = nearest_neighbours(points, n_neighbors)

    def differences() -> Iterator[torch.Tensor]:
        for j in range(neighbours.shape[1]):
            view, other = torch.randint(views, (2, n), generator=generator)
            for part in torch.arange(n).split(PART):
                yield rows[part, view[part]] - rows[neighbours[part, j], other[part]]

    return _covariance(differences()) / 2


def _agreeing(
    total: torch.Tensor,
    within: torch.Tensor,
    n_components: int,
    shrinkage: float,
    constants: Constants = ROBUST,
) -> torch.Tensor:
    """Directions that solve total u = λ within u, times 1 − 1/λ: float32 (d, n_components)."""
    width = len(within)
    # A direction without any variance (constant features) must not divide by zero.
    floor = shrinkage * within.diagonal().mean() + 1e-6 * total.diagonal().mean() + 1e-12
    values, vectors = _leading(
        total.numpy(), (within + floor * torch.eye(width)).numpy(), min(n_components, width)
    )
    agreement = np.maximum(1 - 1 / np.maximum(values, 1e-12), 0)
    if not agreement.any():  # pairs agree in nothing: no reason to prefer any direction
        agreement[:] = 1
    elif (
        agreement > 0
    ).sum() < constants.min_directions:  # rows must stay distinct, or K clusters can't be told
        agreement = np.maximum(agreement, 0.01 * agreement.max())
    return torch.from_numpy(vectors * agreement).float()


def _leading(a: np.ndarray, b: np.ndarray | None, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """The `kept` largest eigenvalues of a u = λ b u and their vectors, largest first.

    Float64: in float32 LAPACK's divide and conquer returned NaN where there are fewer rows than
    features. All vectors, for the leading ones alone take LAPACK twice as long. The largest entry
    of each vector is made positive. Without b, a is overwritten.
    """
    # A symmetric matrix is its own transpose, which LAPACK can use where it is.
    with one_blas_thread():
        if b is None:
            values, vectors = eigh(a.T, driver="evd", overwrite_a=True)
        else:
            values, vectors = eigh(a, b, driver="gvd")
    values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    return values, np.ascontiguousarray(vectors * np.where(largest < 0, -1.0, 1.0))
