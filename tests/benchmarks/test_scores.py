from __future__ import annotations

import numpy as np
import torch

from benchmarks.scores import Fit, fit, section, variants


def blobs(n: int = 300, dim: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=n)
    centres = 2 * rng.standard_normal((4, dim))
    return (centres[y][:, None] + rng.standard_normal((n, 2, dim))).astype(np.float16), y


def test_noise_lowers_accuracy_and_information_together():
    X, y = blobs(n=150)
    made = {variant.name: variant for variant in variants(X)}
    clean = fit(made["as it is"], y).figures
    noisy = fit(made["noise of 2 × standard deviation"], y).figures
    assert clean["acc"] > 0.95
    assert noisy["acc"] < clean["acc"]
    assert noisy["information"] < clean["information"]


def test_variants_keep_the_images_and_change_one_thing():
    X, _ = blobs()
    made = variants(X)
    assert len({variant.name for variant in made}) == len(made)
    for variant in made:
        assert variant.X.shape[0] == len(X)
        assert variant.unseen.shape == (len(X), variant.X.shape[2])


def test_the_table_ranks_scores():
    figures = [
        {"acc": a, "nmi": a, "information": a, "confidence": 1 - a, "views": a, "peers": a}
        | {"seconds": 1.0}
        for a in (0.2, 0.5, 0.7)
    ]
    fits = [Fit(f, np.array([0, 1]), torch.zeros(2, 1).long()) for f in figures]
    text, ranks = section("toys", ["a", "b", "c"], fits)
    assert ranks["information"] == 1
    assert ranks["confidence"] == -1
    assert "| b | 0.500 |" in text
