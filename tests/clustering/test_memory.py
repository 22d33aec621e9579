"""What a fit adds to the process, measured from outside its allocators."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import faiss, numpy as np, torch
from headlight.clustering import SCP

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

n, views, dim = 60000, 3, 1280
# Warm up: what libraries allocate once is no part of the growth.
SCP(4, n_epochs=1).fit(np.random.default_rng(0).normal(size=(500, 2, 64)))
before = status("VmRSS")
X = np.empty((n, views, dim), np.float16)
rng = np.random.default_rng(0)
some = rng.standard_normal((1000, views, dim), dtype=np.float32).astype(np.float16)
for start in range(0, n, 1000):
    scale = rng.uniform(0.5, 1.5, (1000, 1, 1)).astype(np.float16)
    np.multiply(some, scale, X[start : start + 1000])
SCP(10, n_epochs=1, batch_size=1024, random_state=0).fit(X)
print(status("VmHWM") - before, X.nbytes / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory (needs Linux)")
def test_fit_takes_little_beside_the_input():
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    growth, size = map(float, out.stdout.split())
    # Input included. A float32 copy of the input alone would be twice its size.
    assert growth < 1.5 * size
