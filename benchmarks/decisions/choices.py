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
        views: ``none``, ``strong`` (headlight's own) or ``gentle`` (`benchmarks.methods.data`).
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    views: str = "strong"


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
    Decision("heads", "3", {"1": Option({"n_heads": 1})}),
    Decision("neighbours", "10", {"15": Option({"n_neighbors": 15})}),
    Decision(
        "augmented views",
        "strong",
        {"none": Option(views="none"), "gentle": Option(views="gentle")},
    ),
)
