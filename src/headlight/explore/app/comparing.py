"""The run as it is now beside another of its fits, for the page that compares them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from headlight.explore.palette import palette
from headlight.review import Review
from headlight.review.comparing import Comparison, Flow
from headlight.review.fitting import edits_in_words
from headlight.runs import Run, fits_of, run_at

PICTURED = 12  # images of a flow shown at first


def fits(run: Run) -> list[dict[str, Any]]:
    """The fits that are kept, the latest first, as plain data; see ``static/app/compare.js``."""
    return [
        {
            "id": record.id,
            "saved": saved.isoformat(timespec="seconds"),
            "asked": record.asked,
            "groups": record.n_clusters,
            "images": record.images,
            "edits": edits_in_words(run_at(run, record.id)),
            "current": record.id == run.fit.id,
        }
        for record, saved in reversed(fits_of(run))
    ]


def plain(found: Comparison, by_hand: np.ndarray) -> dict[str, Any]:
    """A comparison with the run as it is now, which is its side before.

    Arguments:
        found: the comparison.
        by_hand: bool (n,), images that a person placed where they are now.
    """
    width = max([*found.before.names, *found.after.names], default=0) + 1
    colours = palette(width + len(found.after.names))
    same = {there: here for here, there in found.partner.items()}
    before = {group: colours[group] for group in found.before.names}
    new = [group for group in found.after.names if group not in same]
    after = {group: before[here] for group, here in same.items()}
    after |= {group: colours[width + i] for i, group in enumerate(new)}
    return {
        "fit": found.after.fit.id,
        "sentence": found.sentence,
        "images": found.images,
        "changed": found.changed,
        "groups": [
            [
                {"id": k, "name": name, "size": side.sizes[k], "colour": colour[k]}
                for k, name in side.names.items()
            ]
            for side, colour in ((found.before, before), (found.after, after))
        ],
        "flows": [
            {
                "before": flow.before,
                "after": flow.after,
                "size": len(flow.rows),
                "stays": flow.stays,
                "by_hand": 0 if flow.before is None else int(by_hand[flow.rows].sum()),
                "rows": [] if flow.before is None else flow.rows[:PICTURED].tolist(),
            }
            for flow in found.flows
        ],
    }


def flow_of(found: Comparison, before: int | None, after: int | None) -> Flow:
    """The images that go from one group to the other.

    Raises:
        ValueError: there are none.
    """
    for flow in found.flows:
        if (flow.before, flow.after) == (before, after):
            return flow
    raise ValueError("no image goes that way")


def moves(
    found: Comparison, flows: Iterable[Flow], by_hand: np.ndarray
) -> list[tuple[int | str, np.ndarray]]:
    """What `Review.take_over` needs to bring images to where the other fit has them.

    Arguments:
        found: a comparison with the run as it is now.
        flows: of it, of images that are in both.
        by_hand: bool (n,), images that a person has placed: they stay.
    """
    same = {there: here for here, there in found.partner.items()}
    wanted: dict[int, list[np.ndarray]] = {}
    for flow in flows:
        if flow.before is None or flow.after is None:
            raise ValueError("these images are in one of the two fits only")
        rows = flow.rows[~by_hand[flow.rows]]
        if len(rows):
            wanted.setdefault(flow.after, []).append(rows)
    return [
        (same.get(group, found.after.names[group]), np.concatenate(rows))
        for group, rows in wanted.items()
    ]


def reviewed(run: Run, fit: str) -> Review:
    """Another fit of the run, with the edits that apply to it.

    Raises:
        HeadlightError: there is no such fit, or it is damaged.
    """
    return Review(run_at(run, fit))
