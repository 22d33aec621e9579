"""Reviewing a run: the log of edits, what they change, and the run with all edits applied."""

from headlight.review.evaluating import evaluate
from headlight.review.fitting import fit_again
from headlight.review.model import GroupsModel, groups_model
from headlight.review.prediction import Predicted, predict_run
from headlight.review.review import Review
from headlight.review.updating import UpdateReport, is_living, update_run
from headlight.runs import load_run

__all__ = [
    "GroupsModel",
    "Predicted",
    "Review",
    "UpdateReport",
    "evaluate",
    "fit_again",
    "groups_model",
    "is_living",
    "load_run",
    "predict_run",
    "update_run",
]
