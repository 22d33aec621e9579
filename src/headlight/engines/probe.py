"""A few fixed images, and whether two ways to run one network agree on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# Largest relative error of features against float32 arithmetic in PyTorch. Rounding gives some
# 1e-6 in float32, and in bfloat16 up to 2e-2.
TOLERANCES = {"f32": 1e-3, "bf16": 3e-2}


def probe_images(size: int) -> np.ndarray:
    """Flat grey, a ramp of colours, stripes, a disc, and noise twice; always the same.

    Arguments:
        size: side, pixels.

    Returns:
        (6, size, size, 3) uint8, RGB.
    """
    y, x = np.indices((size, size))
    grey = np.full((size, size, 3), 128)
    ramp = np.stack([x, y, 2 * size - x - y], axis=-1) * 127 // size
    stripes = np.where((x // max(1, size // 16) % 2)[..., None], [250, 240, 20], [10, 30, 90])
    inside = (2 * x - size) ** 2 + (2 * y - size) ** 2 < (size * 2 // 3) ** 2
    disc = np.where(inside[..., None], [200, 40, 30], [230, 235, 240])
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3))
    return np.stack([grey, ramp, stripes, disc, *noise]).astype(np.uint8)


def reference_features(network: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """What a network gives in float32 with PyTorch, where it stands.

    Arguments:
        network: see `Encoder.build`.
        images: (n, size, size, 3) uint8.

    Returns:
        (n, dim) float32.
    """
    import torch

    with torch.no_grad():
        device = next(network.parameters(), torch.empty(0)).device
        return network(torch.from_numpy(images).to(device)).float().cpu().numpy()


def fault(found: np.ndarray, expected: np.ndarray | None, precision: str) -> str | None:
    """Why features can't be trusted, in words for a sentence; None: they can.

    Arguments:
        found: (n, dim), of the way in question.
        expected: (n, dim), of the same images by PyTorch in float32; None: unknown.
        precision: ``f32`` or ``bf16``, which tells how close they must be.
    """
    if not np.isfinite(found).all():
        return f"in {precision} it gives values that are not finite"
    if expected is None:
        return None
    if found.shape != expected.shape:
        return f"it gives {found.shape[1:]} values an image, PyTorch {expected.shape[1:]}"
    error = relative_error(found, expected)
    if error <= TOLERANCES[precision]:  # false for NaN
        return None
    return f"in {precision} its features differ from PyTorch's by {error:.2g} of their length"


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ / ‖expected‖ over all images; 0 if both are 0."""
    difference = float(np.linalg.norm(found.astype(np.float64) - expected))
    length = float(np.linalg.norm(expected.astype(np.float64)))
    return difference / length if length else float(difference > 0)
