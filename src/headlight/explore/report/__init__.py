"""``report.html``, one self-contained file."""

from headlight.explore.report.page import write_report

__all__ = ["write_report"]
