"""headlight clusters unlabelled images, with frozen features and a small trained head."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headlight.clustering import SCP, Features
    from headlight.errors import HeadlightError
    from headlight.explore import write_report
    from headlight.pipeline import cluster, embed, update
    from headlight.run import Run, load_run

__version__ = "0.1.0"
__all__ = [
    "SCP", "Features", "HeadlightError", "Run", "cluster", "embed", "load_run", "update",
    "write_report",
]  # fmt: skip

# Imported on first use: `import headlight` must not wait for PyTorch.
_HOME = {
    "SCP": "headlight.clustering",
    "Features": "headlight.clustering",
    "HeadlightError": "headlight.errors",
    "Run": "headlight.run",
    "cluster": "headlight.pipeline",
    "embed": "headlight.pipeline",
    "update": "headlight.pipeline",
    "load_run": "headlight.run",
    "write_report": "headlight.explore",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'headlight' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
