from __future__ import annotations

import numpy as np
import torch

from headlight.clustering.information import POWER
from headlight.evaluation.peers import Clustered, judge_by_peers


def test_peers_judge_by_the_graphs_of_the_others() -> None:
    """A partition that fits no graph but its own gets nothing; the own graph is left out."""
    ring = torch.tensor([[1, 2], [0, 3], [3, 0], [2, 1]])  # halves and stripes are half cut by it
    pairs = torch.tensor([[1], [0], [3], [2]])
    halves = np.array([0, 0, 1, 1])
    scores = judge_by_peers(
        [Clustered(halves, pairs), Clustered(halves, pairs), Clustered(halves, ring)], 2
    )
    whole = np.log(2) ** (1 - POWER)  # I = H = log 2 where no edge is cut; 0 where half of them are
    assert np.allclose(scores, [whole / 2, whole / 2, whole])
