"""Clustering of features: the estimator and its parts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headlight.clustering.constants import Constants, PaperConstants

if TYPE_CHECKING:
    from headlight.clustering.features import Features
    from headlight.clustering.scp import SCP

__all__ = ["SCP", "Constants", "Features", "PaperConstants"]

# Imported on first use: who asks for a constant must not wait for PyTorch.
_HOME = {"SCP": "headlight.clustering.scp", "Features": "headlight.clustering.features"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'headlight.clustering' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
