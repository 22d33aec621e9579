"""A few fixed images, and whether two ways to run one network agree on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

PRECISIONS = ("f32", "bf16")
# Largest relative error of float32 features against PyTorch's, also float32: rounding gives 1e-6.
TOLERANCE = 1e-3
# What clustering needs of coarser arithmetic: directions from the mean stay, and so do nearest
# neighbours. EfficientNet-Lite0 in bfloat16 has .998 and 31 of 32.
LEAST_COSINE, LEAST_NEIGHBOURS = 0.99, 0.9
CROPS = 32


def probe_images(size: int) -> np.ndarray:
    """Crops of the two photographs that come with scikit-learn; always the same.

    Photographs, because the rounding of flat colours and noise says little about them.

    Arguments:
        size: side, pixels.

    Returns:
        (32, size, size, 3) uint8, RGB.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    crops = []
    for photo in load_sample_images().images:
        image = Image.fromarray(photo)
        for _ in range(CROPS // 2):
            side = int(rng.integers(120, min(image.size)))
            x, y = (int(rng.integers(0, length - side + 1)) for length in image.size)
            box = (x, y, x + side, y + side)
            crops.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box)))
    return np.stack(crops)


def reference_features(network: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """A network's features in float32 by PyTorch, on the device it is on.

    Arguments:
        network: see `Encoder.build`.
        images: (n, size, size, 3) uint8.

    Returns:
        (n, dim) float32.
    """
    import torch

    with torch.no_grad():
        device = next(network.parameters(), torch.empty(0)).device
        parts = [
            network(part.to(device)).float().cpu() for part in torch.from_numpy(images).split(4)
        ]
        return torch.cat(parts).numpy()


def fault(features: np.ndarray, expected: np.ndarray | None, precision: str) -> str | None:
    """Why features can't be trusted, in words for a sentence; None: they can.

    Arguments:
        features: (n, dim), computed in the way in question.
        expected: (n, dim), of the same images by PyTorch in float32; None: unknown.
        precision: ``f32``, which must agree number by number, or a coarser one, which must keep
            directions from the mean and nearest neighbours.
    """
    if not np.isfinite(features).all():
        return f"in {precision} it gives values that are not finite"
    if expected is None:
        return None
    if features.shape != expected.shape:
        return f"it gives {features.shape[1:]} values per image, PyTorch {expected.shape[1:]}"
    if precision == "f32":
        error = relative_error(features, expected)
        close, why = error <= TOLERANCE, f"differ from PyTorch's by {error:.2g} of their length"
    else:
        cosine, same = agreement(features, expected)
        close = cosine >= LEAST_COSINE and same >= LEAST_NEIGHBOURS
        why = f"differ from PyTorch's: cosine {cosine:.3f}, {same:.0%} of nearest neighbours"
    return None if close else f"in {precision} its features {why}"  # not close where NaN


def relative_error(features: np.ndarray, expected: np.ndarray) -> float:
    """‖features − expected‖ / ‖expected‖ over all images; 0 if both are 0."""
    difference = float(np.linalg.norm(features.astype(np.float64) - expected))
    length = float(np.linalg.norm(expected.astype(np.float64)))
    return difference / length if length else float(difference > 0)


def agreement(features: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """What clustering sees of a difference between two versions of the same features.

    Arguments:
        features, expected: (n, dim), n at least 2.

    Returns:
        Mean cosine of an image's features to those expected, both centred, and the share of images
        whose nearest other image is the same.
    """
    rows = [_directions(features), _directions(expected)]
    nearest = []
    for unit in rows:
        similarity = unit @ unit.T
        np.fill_diagonal(similarity, -np.inf)
        nearest.append(similarity.argmax(axis=1))
    return float((rows[0] * rows[1]).sum(axis=1).mean()), float((nearest[0] == nearest[1]).mean())


def _directions(features: np.ndarray) -> np.ndarray:
    rows = features.reshape(len(features), -1).astype(np.float64)
    centred = rows - rows.mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-300)
