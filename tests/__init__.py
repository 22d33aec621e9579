import os

# As the command `headlight` has it, and before anything loads OpenMP: tests share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
