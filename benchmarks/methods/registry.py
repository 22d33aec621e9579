"""The methods there are: the modules of `entrants/`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

from benchmarks.methods import entrants


def names() -> list[str]:
    """Names of all methods, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(entrants.__path__))


def load(name: str) -> ModuleType:
    """The module of a method.

    Raises:
        ModuleNotFoundError: there is none of that name.
    """
    return import_module(f"{entrants.__name__}.{name}")


def takes(name: str, views: str) -> bool:
    """Whether a method can be fitted with such views (`data.VIEWS`)."""
    method = load(name)
    if views == "none":
        return getattr(method, "WITHOUT_VIEWS", True)
    return getattr(method, "WITH_VIEWS", False)
