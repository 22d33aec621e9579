"""Imports go down only: who carries the project on can read it floor by floor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import headlight

ROOT = Path(headlight.__file__).parent
# From the top down. A module may import its own floor and those below it.
FLOORS = (
    ("", "__main__"),
    ("cli",),
    ("watching", "pipeline", "ranking", "benchmark", "run"),
    ("explore",),
    ("export",),
    ("distributed",),
    ("review",),
    ("runs",),
    ("evaluation",),
    ("features",),
    ("engines",),
    ("encoders",),
    ("images", "clustering"),
    ("devices", "memory"),
    ("counts", "errors"),
)
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}


def imports() -> Iterator[tuple[str, str]]:
    """Importing module and imported one, lazy imports and those for type checking included."""
    modules = {
        ".".join(("headlight", *path.relative_to(ROOT).with_suffix("").parts)): path
        for path in ROOT.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: a relative import"
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield name, whole if whole in modules else str(node.module)
            elif isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)


def ours() -> list[tuple[str, str]]:
    return [(a, b) for a, b in imports() if b.split(".")[0] == "headlight"]


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_imports_go_down_only() -> None:
    up = [f"{a} → {b}" for a, b in ours() if FLOOR[package(a)] > FLOOR[package(b)]]
    assert not up


def test_clustering_knows_arrays_and_images_know_no_clusters() -> None:
    between = {("clustering", "images"), ("images", "clustering")}
    assert not [(a, b) for a, b in ours() if (package(a), package(b)) in between]


def test_no_import_circle() -> None:
    """Not between modules, lazy imports counted; a package's own ``__init__`` is its face only."""
    after: dict[str, set[str]] = {}
    for a, b in ours():
        if not a.startswith(f"{b}.") and a != b and a != "headlight":
            after.setdefault(a, set()).add(b)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in sorted(after.get(module, ())):
                visit(other, (*path, module))
            done.add(module)

    for module in sorted(after):
        visit(module, ())
