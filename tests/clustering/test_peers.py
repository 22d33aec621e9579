from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.peers import Clustering, judge_by_peers, shares_explained

POINTS = np.arange(8)


def by_bit(bit: int, graph: int | None = None) -> Clustering:
    """Numbers split by one bit; each is a neighbour of all that share the graph's bit with it."""
    of = (POINTS >> (bit if graph is None else graph)) & 1
    near = np.array([POINTS[of == one] for one in of])
    return Clustering((POINTS >> bit) & 1, torch.from_numpy(near))


def test_a_clustering_explains_graphs_like_its_own_and_no_others() -> None:
    one, another = by_bit(0), by_bit(1)
    shares = shares_explained([one, one, another], 2)
    assert np.allclose(shares, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_peers_judge_by_the_graphs_of_the_others() -> None:
    """The odd one out gets nothing, though it explains its own graph: that is left out."""
    assert np.allclose(judge_by_peers([by_bit(0), by_bit(0), by_bit(1)], 2), [0.5, 0.5, 0])


def test_a_graph_that_its_own_clustering_does_not_explain_tells_nothing() -> None:
    assert np.allclose(shares_explained([by_bit(0, graph=1), by_bit(1)], 2), [[1, 0], [1, 1]])
