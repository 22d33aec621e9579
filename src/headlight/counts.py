"""Counts in words: ``1 image``, ``2,000 images``."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """The count with its noun in the right number.

    Arguments:
        count: how many.
        one: the noun in the singular.
        many: its plural; ``one`` and an s if left out.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def span(low: int, high: int) -> str:
    """A range of counts: ``9 to 16``, or ``2`` where both ends are the same."""
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
