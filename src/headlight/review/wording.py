"""An edit in a few words."""

from __future__ import annotations

from collections.abc import Callable

from headlight.counts import counted
from headlight.review.log import Edit


def described(edit: Edit | None) -> str | None:
    """What ``edit`` did, such as "merge of 2 clusters"; None if there is none."""
    if edit is None:
        return None
    return _WORDS[edit["edit"]](edit)


def _outlier(edit: Edit) -> str:
    what = "marking as outliers" if edit["value"] else "taking outliers back"
    return f"{what}: {_images(edit['rows'])}"


def _put(edit: Edit) -> str:
    rows = ",".join(part for part in edit["to"].values() if part)
    if "of" in edit:
        return f"taking over {_images(rows)} from another fit"
    return f"{'refit' if edit['edit'] == 'assign' else 'move'} of {_images(rows)}"


def _images(packed: str) -> str:
    count = 0
    for part in packed.split(",") if packed else []:
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return counted(count, "image")


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


_WORDS: dict[str, Callable[[Edit], str]] = {
    "rename": lambda edit: f"renaming to “{_short(edit['name'])}”",
    "merge": lambda edit: f"merge of {len(set(edit['clusters']))} clusters",
    "split": lambda edit: f"split into {len(edit['to']) + 1}",
    "move": _put,
    "assign": _put,
    "outlier": _outlier,
    "done": lambda edit: "marking as done" if edit["value"] else "marking as not done",
}
