"""Numbers as people read them."""

from __future__ import annotations


def percent(value: float, digits: int = 0) -> str:
    """A share, 0 to 1, as ``37%``: nothing that exists is 0 %, nothing that is not all is 100 %."""
    text = f"{100 * value:.{digits}f}"
    if value > 0 and float(text) == 0:
        return f"<{10**-digits:.{digits}f}%"
    if value < 1 and float(text) == 100:
        return f"{100 - 10**-digits:.{digits}f}%"
    return f"{text}%"


def duration(seconds: float) -> str:
    """``8.2 s``, ``95 s``, ``12.5 min`` or ``3.1 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
