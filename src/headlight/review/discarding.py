"""Keeps a new fit from discarding edits, unless the user agrees."""

from __future__ import annotations

from collections import Counter

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.review.log import EditLog
from headlight.runs.run import Run

WORDS = {
    "rename": "name",
    "move": "move",
    "merge": "merge",
    "split": "split",
    "assign": "refit",
    "outlier": "outlier mark",
    "done": "done mark",
}


def edits_in_words(run: Run) -> str:
    """The edits in force, such as ``3 names, 1 merge``; empty if there are none.

    Reads only the log, so that a run with damaged tables can be fitted again.

    Raises:
        HeadlightError: the log is damaged.
    """
    if not run.info.fit:
        return ""
    applied: list[str] = []
    undone: list[str] = []
    for _, edit in EditLog(run.path, run.info.fit.id).read():
        kind = edit["edit"]
        if kind not in ("undo", "redo"):
            applied.append(kind)
            undone.clear()
            continue
        source, target = (applied, undone) if kind == "undo" else (undone, applied)
        if source:
            target.append(source.pop())
    counts = Counter(applied)
    order = [*(kind for kind in WORDS if kind in counts), *(counts.keys() - WORDS.keys())]
    return ", ".join(counted(counts[kind], WORDS.get(kind, "other edit")) for kind in order)


def refuse_discarding(run: Run, discard_edits: bool = False) -> bool:
    """Keep a new fit from replacing one that has edits.

    Arguments:
        run: about to be fitted again.
        discard_edits: the user agrees.

    Returns:
        Whether there are edits.

    Raises:
        HeadlightError: there are edits, and the user has not agreed; or the log is damaged.
    """
    try:
        edits = edits_in_words(run)
    except HeadlightError:
        if discard_edits:
            return True
        raise
    if edits and not discard_edits:
        raise HeadlightError(
            f"{run.path} has edits ({edits}) that a new fit would not have: choose another -o, or "
            "add --discard-edits; the present fit and its edits stay in the run and can be restored"
        )
    return bool(edits)
