"""Looking at a run: one HTML file that needs nothing else."""

from headlight.explore.report.page import write_report

__all__ = ["write_report"]
