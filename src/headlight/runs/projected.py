"""Images as the head sees them: what "typical", "near" and "alike" mean everywhere."""

from __future__ import annotations

import numpy as np

from headlight.errors import HeadlightError
from headlight.runs.features import plain_batches, plain_features
from headlight.runs.run import Run

CHUNK = 4096
MODEL = "model.safetensors"


def projected_rows(run: Run) -> np.ndarray:
    """Features of all images through the model's projection; only centred in a run without a model.

    Arguments:
        run: fitted.

    Returns:
        float16 (n, d), rows of length 1, in the order of ``run.assignments``.

    Raises:
        HeadlightError: the features are gone or damaged, or lack images of the assignments.
    """
    if MODEL not in run.fit.files:
        features = plain_features(run)
        return project(features, features.mean(axis=0, dtype=np.float32))
    mean, axes = projection_of(run)
    rows = np.empty((len(run.assignments), axes.shape[1]), np.float16)
    for places, vectors in plain_batches(run):
        rows[places] = project(vectors, mean, axes)
    return rows


def projection_of(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """The model's projection: mean, float32 (dim,), and axes, float32 (dim, d).

    Raises:
        HeadlightError: the model is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = run.file(MODEL)
    try:
        # Read as plain arrays: to open the model itself would load PyTorch first.
        tensors = load_file(file)
        return tensors["projection.mean"], tensors["projection.components"]
    except (OSError, SafetensorError, KeyError) as error:
        raise HeadlightError(f"{file} is damaged: run `headlight fit {run.path}` again") from error


def project(features: np.ndarray, mean: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    """Features in the directions of a projection.

    Arguments:
        features: (n, dim) of any float kind; read in chunks.
        mean: float32 (dim,).
        axes: float32 (dim, d); None: the features' own.

    Returns:
        float16 (n, d), rows of length 1, or 0 where a row has no direction.
    """
    rows = np.empty((len(features), len(mean) if axes is None else axes.shape[1]), np.float16)
    for start in range(0, len(features), CHUNK):
        part = slice(start, start + CHUNK)
        centred = features[part].astype(np.float32) - mean
        rows[part] = unit(centred if axes is None else centred @ axes)
    return rows


def centre_of(rows: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Mean direction of some rows: float32 (d,), of length 1; 0 if there are none.

    Arguments:
        rows: float16 or float32 (n, d), of length 1.
        members: int (m,), numbers of rows.
    """
    total = np.zeros(rows.shape[1], np.float32)
    for start in range(0, len(members), CHUNK):
        total += rows[members[start : start + CHUNK]].sum(axis=0, dtype=np.float32)
    return unit(total)


def typical_first(rows: np.ndarray, members: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Members by their cosine with a centre, the nearest first: int (m,)."""
    cosine = np.empty(len(members), np.float32)
    for start in range(0, len(members), CHUNK):
        part = slice(start, start + CHUNK)
        cosine[part] = rows[members[part]].astype(np.float32) @ centre
    return members[np.argsort(-cosine, kind="stable")]


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (…, d) divided by their lengths; 0 stays 0."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
