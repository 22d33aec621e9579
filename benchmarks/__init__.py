"""Comparisons with peers and references; each module is one command."""

import os

# As the command `headlight` has it, and before anything loads OpenMP: all that is compared shares
# it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
