"""Imported before PyTorch: idle OpenMP threads sleep instead of spinning.

Training is thousands of short parallel loops. On a machine that does other work as well, spinning
threads wait for one another's turn on a core: measured on two busy cores, a step took 39 ms with
sleeping threads and 750 ms with spinning ones. OpenMP reads the variable once, when first loaded;
a value the user set stays.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
