from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA

from headlight.clustering import projection as module
from headlight.clustering.projection import fit_projection, project
from headlight.clustering.validation import Features


def features(n: int = 400, dim: int = 30, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = np.linspace(3, 0.3, dim)
    return (rng.normal(size=(n, dim)) * scale + offset).astype(np.float32)


def test_projection_equals_pca_with_rows_of_length_one():
    X = features()
    ours = fit_projection(Features(X), 8, seed=0)(torch.from_numpy(X)).numpy()
    theirs = PCA(8, svd_solver="full").fit_transform(X.astype(np.float64))
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    theirs *= np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_features_far_from_the_origin_keep_their_digits():
    near = fit_projection(Features(features()), 8, seed=0)
    far = fit_projection(Features(features(offset=500.0)), 8, seed=0)
    alike = (near.components * far.components).sum(dim=0).abs()
    assert alike.min() > 0.999


def test_components_are_as_many_as_rows_and_features_allow():
    assert fit_projection(Features(features(n=5)), 200, seed=0).components.shape == (30, 4)
    assert fit_projection(Features(features(dim=3)), 200, seed=0).components.shape == (3, 3)
    assert fit_projection(Features(features(dim=1)), 200, seed=0).components.shape == (1, 1)


def test_large_data_are_sampled_by_seed(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 100)
    X = Features(features())
    first, again, other = (fit_projection(X, 8, seed=s).components for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_all_views_are_projected_like_the_rows_they_are():
    X = np.stack([features(n=50), features(n=50) * 2 + 1], axis=1)
    fitted = fit_projection(Features(X), 8, seed=0)
    out = project(Features(X), fitted)
    assert out.shape == (50, 2, 8)
    assert out.dtype == torch.float16
    for view in (0, 1):
        expected = fitted(torch.from_numpy(X[:, view]))
        torch.testing.assert_close(out[:, view].float(), expected, atol=1e-3, rtol=0)


def test_constant_features_project_to_zero_and_not_to_nan():
    X = np.ones((20, 4), dtype=np.float32)
    out = project(Features(X), fit_projection(Features(X), 3, seed=0))
    assert torch.isfinite(out).all()
