"""The methods there are: the modules of `entrants/`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

from benchmarks.methods import entrants


def names() -> list[str]:
    """Names of all methods, sorted."""
    return sorted(_modules())


def load(name: str) -> ModuleType:
    """The module of a method.

    Raises:
        KeyError: there is none of that name.
    """
    return _modules()[name]


def _modules() -> dict[str, ModuleType]:
    found = (
        import_module(f"{entrants.__name__}.{module.name}")
        for module in pkgutil.iter_modules(entrants.__path__)
    )
    return {module.NAME: module for module in found}
