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
    Decision(
        "augmented views",
        "gentle",
        {"none": Option(views="none"), "strong": Option(views="strong")},
    ),
    Decision(
        "power of H, partitions",
        "0.6",
        {
            "0.5": Option(constants={"information_power": 0.5}),
            "0.7": Option(constants={"information_power": 0.7}),
        },
    ),
    Decision(
        "power of H, spaces",
        "0.85",
        {
            "0.6": Option(constants={"space_power": 0.6}),
            "1": Option(constants={"space_power": 1.0}),
        },
    ),
    Decision("rows move", "yes", {"no": Option(constants={"move_sweeps": 0})}),
    Decision("overlap of partitions", "yes", {"no": Option(constants={"most_kept": 0})}),
    Decision("partitions tried", "16", {"4": Option(constants={"max_tried": 4})}),
    Decision("head learns the start", "yes", {"no": Option(constants={"start_steps": 0})}),
    Decision("learning rate", "0.05", {"0.2": Option(constants={"learning_rate": 0.2})}),
)
