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
    return f"{what}: {counted(len(edit['rows']), 'image')}"


def _put(edit: Edit) -> str:
    count = counted(sum(len(rows) for rows in edit["to"].values()), "image")
    if "of" in edit:
        return f"taking over {count} from another fit"
    return f"{_PUT[edit['edit']]} of {count}"


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


_PUT = {"move": "move", "assign": "refit", "dismiss": "dismissal"}
_WORDS: dict[str, Callable[[Edit], str]] = {
    "rename": lambda edit: f"renaming to “{_short(edit['name'])}”",
    "merge": lambda edit: f"merge of {len(set(edit['clusters']))} clusters",
    "split": lambda edit: f"split into {len(edit['to']) + 1}",
    "move": _put,
    "assign": _put,
    "outlier": _outlier,
    "accept": lambda edit: "accepting a proposed group",
    "dismiss": _put,
    "seen": lambda edit: f"looking at {counted(len(edit['rows']), 'new image')}",
    "done": lambda edit: "marking as done" if edit["value"] else "marking as not done",
}
