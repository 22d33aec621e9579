"""The decisions. The shipped option is `SCP` as it is, with headlight's own augmented views."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """What differs from what is shipped; nothing, for what is shipped itself.

    Arguments:
        parameters: of `SCP`.
        constants: fields of `SCP.constants`.
        views: ``none``, ``gentle`` (headlight's own) or ``strong`` (`benchmarks.methods.data`).
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    views: str = "gentle"


SHIPPED = Option()


@dataclass(frozen=True)
class Decision:
    """One choice.

    Arguments:
        name: what was decided.
        chosen: the name of what is shipped.
        alternatives: what replaces or removes it, by name.
    """

    name: str
    chosen: str
    alternatives: dict[str, Option]

    def options(self) -> dict[str, Option]:
        """All of them, what is shipped first."""
        return {self.chosen: SHIPPED} | self.alternatives


DECISIONS = (
    Decision("neighbours", "10", {"15": Option({"n_neighbors": 15})}),
    Decision(
        "augmented views",
        "gentle",
        {"none": Option(views="none"), "strong": Option(views="strong")},
    ),
)
