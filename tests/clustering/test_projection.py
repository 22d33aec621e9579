from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA

from headlight.clustering import projection as module
from headlight.clustering.constants import Constants
from headlight.clustering.features import Features, as_features, sample
from headlight.clustering.projection import fit_projection, project


def features(n: int = 400, dim: int = 30, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = np.linspace(3, 0.3, dim)
    return (rng.normal(size=(n, dim)) * scale + offset).astype(np.float32)


def views_of(signal: np.ndarray, noise: float, views: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return signal[:, None] + noise * rng.normal(size=(len(signal), views, signal.shape[1]))


def share_of_variance(components: torch.Tensor | np.ndarray, columns: slice) -> float:
    squared = np.asarray(components) ** 2
    return float(squared[columns].sum() / squared.sum())


def test_directions_in_which_views_disagree_lose_their_weight():
    """Ten features tell what an image shows, ten louder ones change from view to view."""
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(12, 10))[rng.integers(12, size=600)]
    X = np.concatenate(
        [views_of(shown, 0.2, 3), 4 * views_of(np.zeros((600, 10)), 1.0, 3)], axis=2
    ).astype(np.float32)
    weighted = fit_projection(as_features(X), 20).components
    assert share_of_variance(PCA(10).fit(X[:, 0]).components_.T, slice(10)) < 0.1
    assert share_of_variance(weighted, slice(10)) > 0.95


def test_a_direction_weighs_as_much_as_its_pairs_have_in_common():
    """Signal s and noise e in each of two views: ρ = s² / (s² + e²), known for every feature."""
    total = torch.diag(torch.tensor([1 + 4.0, 1 + 1.0, 1 + 0.25])).double()
    within = torch.eye(3).double()
    weighted = module._agreeing(total, within, 3, shrinkage=0.0)
    rho = torch.tensor([4 / 5, 1 / 2, 0.25 / 1.25])
    torch.testing.assert_close(weighted, torch.diag(rho), atol=1e-4, rtol=0)


def test_features_far_from_the_origin_keep_their_digits():
    near = fit_projection(Features(features()), 8)
    far = fit_projection(Features(features(offset=500.0)), 8)
    rows = features(n=100)
    there = near(torch.from_numpy(rows)) @ near(torch.from_numpy(rows)).T
    here = far(torch.from_numpy(rows + 500)) @ far(torch.from_numpy(rows + 500)).T
    torch.testing.assert_close(there, here, atol=0.02, rtol=0)


def test_components_are_as_many_as_rows_and_features_allow():
    assert fit_projection(Features(features(n=5)), 200).components.shape == (30, 4)
    assert fit_projection(Features(features(dim=3)), 200).components.shape == (3, 3)
    assert fit_projection(Features(features(dim=1)), 200).components.shape == (1, 1)


def test_of_large_data_a_sample_is_read_always_the_same():
    few = Constants(projection_rows=100)
    X = features()
    first = fit_projection(Features(X), 8, constants=few)
    again = fit_projection(Features(X), 8, constants=few)
    assert torch.equal(first.components, again.components)
    unread = np.setdiff1d(np.arange(len(X)), sample(len(X), 100))
    changed = X.copy()
    changed[unread] = 0
    other = fit_projection(Features(changed), 8, constants=few)
    assert torch.equal(first.components, other.components)


def test_all_views_are_projected_like_the_rows_they_are():
    X = np.stack([features(n=50), features(n=50) * 2 + 1], axis=1)
    fitted = fit_projection(as_features(X), 8)
    out = project(as_features(X), fitted)
    assert out.plain.shape == (50, 8)
    assert out.views.shape == (50, 1, 8)
    assert out.plain.dtype == out.views.dtype == torch.float16
    for view in (0, 1):
        expected = fitted(torch.from_numpy(X[:, view]))
        torch.testing.assert_close(out.rows(slice(None), view), expected, atol=1e-3, rtol=0)


def test_rows_without_views_are_projected_once():
    X = features(n=50)
    some = Features(X, X[:5, None] * 2, np.arange(10, 15))
    out = project(some, fit_projection(some, 8), np.arange(12, 40))
    assert out.plain.shape == (28, 8)
    assert out.views.shape == (3, 1, 8)
    assert out.viewed.tolist() == [0, 1, 2]


def test_constant_features_project_to_zero_and_not_to_nan():
    X = np.ones((20, 4), dtype=np.float32)
    out = project(as_features(X), fit_projection(as_features(X), 3))
    assert torch.isfinite(out.plain).all()
