"""Reviewing a run: the log of edits, what they change, and the run with all edits applied."""

from headlight.review.discarding import refuse_discarding
from headlight.review.evaluating import evaluate
from headlight.review.model import GroupsModel, groups_model
from headlight.review.notebook import run_html
from headlight.review.prediction import Predicted, predict_run
from headlight.review.review import Review
from headlight.runs import Run, load_run

Run.as_html = run_html

__all__ = [
    "GroupsModel",
    "Predicted",
    "Review",
    "Run",
    "evaluate",
    "groups_model",
    "load_run",
    "predict_run",
    "refuse_discarding",
]
