"""Real photographs are clustered as well as was measured: floors just under it, three seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headlight import SCP, Features, embed
from headlight.evaluation import read_labels, score

DATA = Path(__file__).parents[2] / "shared" / "data"
# Number of classes, and the least ACC and NMI of any seed.
FLOORS = {"stl10": (10, 0.93, 0.87), "trashnet": (6, 0.5, 0.38)}


@pytest.fixture(scope="module", params=FLOORS)
def photographs(request: pytest.FixtureRequest) -> tuple[str, Features, np.ndarray]:
    """A data set, its features with views of 1,000 images, and its true classes."""
    name = request.param
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not here")
    features, paths = embed(DATA / name, view_images=1000, return_paths=True)
    known = read_labels("folder", paths)
    return name, features, np.unique([known[path] for path in paths], return_inverse=True)[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_photographs_are_clustered_as_well_as_measured(photographs, seed):
    name, features, truth = photographs
    k, acc, nmi = FLOORS[name]
    scores = score(truth, SCP(k, random_state=seed).fit(features).labels_)
    assert scores["acc"] >= acc
    assert scores["nmi"] >= nmi
