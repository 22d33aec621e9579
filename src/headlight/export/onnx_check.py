"""Checks that an ONNX model predicts the same as headlight; otherwise it is never written."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from headlight.errors import HeadlightError
from headlight.images import BadImage, DecodeLimits, decode
from headlight.review.model import GroupsModel
from headlight.review.review import Review
from headlight.runs import Run

if TYPE_CHECKING:
    import onnx
    import torch

    from headlight.encoders.base import Encoder

TOLERANCE = 1e-4
CLOSE = 1e-5  # cosines nearer than this to what a reference asks for: rounding decides
ROWS = 2048  # features compared
IMAGES = 24  # images compared


@dataclass(frozen=True)
class Agreement:
    """How far a model agrees with headlight.

    Arguments:
        rows: compared.
        difference: the largest between two probabilities.
        same: rows whose label is their group in the run.
    """

    rows: int
    difference: float
    same: int


def check_head(onnx_model: onnx.ModelProto, review: Review, model: GroupsModel) -> Agreement:
    """Compare a head's predictions for features of the run.

    Arguments:
        onnx_model: from features.
        review: of the run.
        model: of its groups.

    Raises:
        HeadlightError: they differ, or onnxruntime is missing.
    """
    places, features = _some_features(review.run)
    found = run_model(onnx_model, {"features": features})
    difference = _compare(*found, model, features, "features")
    return Agreement(len(features), difference, int((found[0] == review.labels[places]).sum()))


def check_images(
    onnx_model: onnx.ModelProto,
    review: Review,
    model: GroupsModel,
    encoder: Encoder,
    network: torch.nn.Module,
) -> Agreement:
    """Compare predictions for images of the run, or for noise where these have gone.

    Arguments:
        onnx_model: from pixels.
        review: of the run.
        model: of its groups.
        encoder: how its images are prepared.
        network: what `encoder` builds, in float32: headlight's engines compute the same with
            fewer digits.

    Raises:
        HeadlightError: they differ, or onnxruntime is missing.
    """
    import torch

    rows, views = _some_images(review.run, encoder)
    noise = np.random.default_rng(0).integers(0, 256, (2, *(encoder.input_size,) * 2, 3), np.uint8)
    pixels = np.stack([*views, *noise])
    with torch.no_grad():
        features = network(torch.from_numpy(pixels)).float().numpy()
    found = run_model(onnx_model, {"pixels": pixels})
    difference = _compare(*found, model, features, "images")
    same = found[0][: len(rows)] == review.labels[rows]
    return Agreement(len(rows), difference, int(same.sum()))


def run_model(onnx_model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """Labels and probabilities from onnxruntime, on one CPU thread.

    Raises:
        HeadlightError: onnxruntime is missing.
    """
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise HeadlightError(
            "--to onnx needs onnxruntime: pip install 'headlight-images[export]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        onnx_model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    labels, probabilities = session.run(["labels", "probabilities"], inputs)
    return labels, probabilities


def _compare(
    labels: np.ndarray,
    probabilities: np.ndarray,
    model: GroupsModel,
    features: np.ndarray,
    what: str,
) -> float:
    """The largest difference of probabilities; labels must be the same but for ties."""
    expected = model.probabilities(features)
    difference = float(np.abs(probabilities - expected).max())
    top = np.sort(expected, axis=1)
    tied = np.abs(model.nearness(features)) <= CLOSE
    if expected.shape[1] > 1:
        tied |= top[:, -1] - top[:, -2] <= 2 * TOLERANCE
    if not difference <= TOLERANCE or not ((labels == model.predict(features)) | tied).all():
        raise HeadlightError(
            f"the ONNX model's predictions for the same {what} are not headlight's (probabilities "
            f"differ by up to {difference:.2g}), so it was not written: please report it"
        )
    return difference


def _some_features(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the run, int64 (m,), and their features, float32 (m, dim)."""
    from headlight.runs.features import plain_batches

    rows, features, found = [], [], 0
    for some, vectors in plain_batches(run):
        rows.append(some)
        features.append(vectors.astype(np.float32))
        found += len(some)
        if found >= ROWS:
            break
    return np.concatenate(rows)[:ROWS], np.concatenate(features)[:ROWS]


def _some_images(run: Run, encoder: Encoder) -> tuple[list[int], list[np.ndarray]]:
    """Rows of some images from all over the run, and their plain views."""
    try:
        source = run.source
    except HeadlightError:
        return [], []
    paths = run.assignments["path"]
    step = max(1, len(paths) // IMAGES)
    rows, views = [], []
    for row in islice(range(0, len(paths), step), IMAGES):
        try:
            data = source.read(paths[row].as_py(), DecodeLimits().file_bytes)
            image = decode(data, encoder.min_side)
        except BadImage:
            continue
        rows.append(row)
        views.append(np.asarray(encoder.plain_view(image)))
    return rows, views
