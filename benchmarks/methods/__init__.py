"""Every method on the same features, with the same seeds, on the same machine.

    python -m benchmarks.methods --data cifar10 caltech101 digits --seeds 3

A method is one short file in `entrants/`, found by its presence there. It holds

    NAME = "my-method"
    VIEWS = ("one",)    # optional: ("one", "several") where pairs of views are learned from
    WARM_UP = False     # optional: True where the first call compiles or imports something

    def fit(features, n_clusters, seed) -> MethodFit: ...

`features` are (n, views, dim) float16 as the encoder made them, view 0 the plain image.
`MethodFit.labels` are integers (n,), -1 for noise; `MethodFit.predict`, if there is one, assigns
new features (m, views, dim) by their plain view. Shared parts: `Space` for the projection of all
peers, `nearest` for neighbours, `k_means` for points.

All methods are measured under the same conditions:

- `n_clusters` is the true number of classes.
- All but headlight's own recipes work on PCA to 200 dimensions, centred, rows of length 1, fitted
  on view 0. Its time counts as part of their fit.
- Methods without a notion of pairs work on the plain view: the mean of the views made all of them
  worse. Those that learn from pairs are judged with one view and with several.
- Each fit runs alone in a fresh process. Time excludes imports and numba's compilation: a method
  with `WARM_UP` is first fitted on small random data of the same kind. Memory is the growth of the
  resident set from just before the fit to its peak; imports and features don't count.
- Noise (-1) counts as one more cluster, in all three scores.
"""

from __future__ import annotations

from benchmarks.methods.base import MethodFit, Space, k_means, nearest
from benchmarks.methods.registry import load, names

__all__ = ["MethodFit", "Space", "k_means", "load", "names", "nearest"]
