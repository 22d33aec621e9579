"""EVōC, with its own number of clusters."""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import MethodFit
from benchmarks.methods.data import Features

WARM_UP = True


def fit(features: Features, n_clusters: int, seed: int) -> MethodFit:
    """See `benchmarks.methods`.

    EVōC finds several layers of clusters, fine to coarse; the one whose number of clusters is
    nearest to `n_clusters` is taken. All else is its default. Noise stays -1, and is scored as
    one more cluster.
    """
    try:
        from evoc import EVoC
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("EVōC: pip install 'headlight-images[benchmarks]'") from error
    evoc = EVoC(random_state=seed)
    evoc.fit_predict(features.unit())
    layers = [np.asarray(layer) for layer in evoc.cluster_layers_]
    return MethodFit(min(layers, key=lambda layer: abs(int(layer.max()) + 1 - n_clusters)))
