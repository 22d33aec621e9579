from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score


def blobs(sizes: list[int], dim: int = 50, views: int = 1, seed: int = 0):
    """Well separated clusters of the given sizes: features (n, views, dim) and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(labels)
    centres = rng.normal(size=(len(sizes), dim)) * 2
    points = centres[labels][:, None] + rng.normal(size=(len(labels), views, dim))
    return points.astype(np.float32), labels


@pytest.fixture(scope="session")
def make_blobs():
    return blobs


def stretched(sizes: list[int], views: int = 1, seed: int = 0):
    """Clusters (n, views, 50) side by side, each four times as long as the next is far: k-means
    cuts them across."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(labels)
    axes = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    points = 4 * axes[labels] + 8 * rng.uniform(-1, 1, (len(labels), 2)) @ axes[-2:]
    noise = 0.3 * rng.normal(size=(len(labels), views, 50))
    return (points[:, None] + noise).astype(np.float32), labels


@pytest.fixture(scope="session")
def make_stretched():
    return stretched


def jittered(sizes: list[int], views: int):
    """Blobs, of which two features say nothing and vary most, otherwise in each view: k-means
    follows these."""
    X, labels = blobs(sizes, views=views)
    X[:, :, :2] += 12 * np.random.default_rng(1).normal(size=X[:, :, :2].shape)
    return X, labels


@pytest.fixture(scope="session")
def make_jittered():
    return jittered


def by_k_means(X: np.ndarray, labels: np.ndarray) -> float:
    """Adjusted Rand index of k-means with ten inits on the plain views."""
    found = KMeans(labels.max() + 1, n_init=10, random_state=0).fit_predict(X[:, 0])
    return adjusted_rand_score(labels, found)
