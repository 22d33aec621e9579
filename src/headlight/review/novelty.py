"""TEMPORARY."""

import numpy as np


def propose_groups(known, labels, rows):
    return np.full(len(rows), -1)
