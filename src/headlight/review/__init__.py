"""Reviewing a run: the log of edits, what they change, and the run with all edits applied."""

from headlight.review.evaluating import evaluate
from headlight.review.fitting import fit_again
from headlight.review.review import Review
from headlight.review.updating import UpdateReport, is_living, update_run
from headlight.runs import load_run

__all__ = [
    "Review",
    "UpdateReport",
    "evaluate",
    "fit_again",
    "is_living",
    "load_run",
    "update_run",
]
