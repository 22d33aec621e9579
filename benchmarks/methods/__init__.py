"""Every method on the same features, with the same seeds, on the same machine.

    python -m benchmarks.methods

A method is one short file in `entrants/`, named after it, and found by its presence there:

    WITHOUT_VIEWS = True    # optional: whether it can be fitted on plain features alone
    WITH_VIEWS = False      # optional: whether it learns from augmented views
    WARM_UP = False         # optional: True where the first call compiles or imports something

    def fit(features: Features, n_clusters: int, seed: int) -> MethodFit: ...

- `n_clusters` is the true number of classes; `headlight_auto` alone ignores it.
- Every method gets the features as the encoder made them: the plain ones of all images, and two
  augmented views of at most 4,000 images, as the command makes them. Peers get what they are
  used with: plain features scaled to length 1 (`Features.unit`) and no projection of ours. Those
  of which this is not true say so in their docstring.
- Times: all fits of one data set run in turn in one process, one seed of every method before the
  next seed (A B A B), so that a ratio of two times is from the same minutes. Imports and
  compilation don't count: a method with `WARM_UP` is first fitted on a little random data.
- Memory: in a process of its own, how far the resident set rises above what it was just before
  the fit, features loaded. Seed 0, natural sizes.
- Noise (-1) counts as one more cluster, in all scores.
"""

from __future__ import annotations

from benchmarks.methods.base import MethodFit, Space, k_means, nearest
from benchmarks.methods.data import Features
from benchmarks.methods.registry import load, names

__all__ = ["Features", "MethodFit", "Space", "k_means", "load", "names", "nearest"]
