"""Reviewing a run: the log of edits, what they change, and the run with all edits applied."""

from headlight.review.evaluating import evaluate
from headlight.review.fitting import fit_again
from headlight.review.notebook import run_html
from headlight.review.review import Review
from headlight.review.updating import UpdateReport, is_living, update_run
from headlight.runs import Run, load_run

Run.as_html = run_html

__all__ = [
    "Review",
    "Run",
    "UpdateReport",
    "evaluate",
    "fit_again",
    "is_living",
    "load_run",
    "update_run",
]
