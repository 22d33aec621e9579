"""The model of the groups: a head whose classes are what a person has made of the clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headlight.errors import HeadlightError
from headlight.review.review import Review
from headlight.review.strangers import nearness, reference_points
from headlight.runs.model import read_model, write_model
from headlight.runs.projected import projected_rows

if TYPE_CHECKING:
    from headlight.clustering import SCP
    from headlight.review.learning import Learned

FILE = "groups.safetensors"
METHOD = 3  # of learning; another number makes models that were kept learn again
NONE = -1
"""The number of no group."""


@dataclass(frozen=True)
class References:
    """Where images of the groups are: one that is far from all of them belongs to no group.

    Arguments:
        points: float32 (r, d), directions of length 1 in the head's projection.
        least: float32 (r,): an image is in no group if its cosine with each point is below the
            point's ``least``.
    """

    points: np.ndarray
    least: np.ndarray


@dataclass(frozen=True)
class GroupsModel:
    """A head whose classes are the groups of a review.

    Arguments:
        scp: its columns are the groups; it has no labels and no scores.
        groups: number of the group of each column, ascending. Groups without images, or with
            outliers only, are not among them.
        reviewed: it was trained on the groups; False: it is the fit's own head, as no image is in
            another group than the fit's.
        agreement: share of all images, outliers left out, that it puts in their group, and not in
            none.
        agreement_by_hand: the same of images placed by a person; 1 where there are none.
        by_hand: how many these are.
        references: what tells an image that is in no group; None: every image is in one.

    Use `groups_model`.
    """

    scp: SCP
    groups: list[int]
    reviewed: bool
    agreement: float
    agreement_by_hand: float
    by_hand: int
    references: References | None = None

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Of the groups, for each row: float32 (n, groups), rows summing to 1.

        Arguments:
            features: (n, dim), as the encoder computes them.
        """
        return self.scp.predict_proba(features)

    def belongs(self, features: np.ndarray) -> np.ndarray:
        """Whether each row is in a group at all: bool (n,).

        Arguments:
            features: (n, dim), as the encoder computes them.
        """
        if self.references is None:
            return np.ones(len(features), bool)
        return self.nearness(features) >= 0

    def nearness(self, features: np.ndarray) -> np.ndarray:
        """The largest cosine with a reference, minus the ``least`` of that: float32 (n,).

        Arguments:
            features: (n, dim), as the encoder computes them.
        """
        import torch

        if self.references is None:
            return np.full(len(features), np.inf, np.float32)
        rows = self.scp.projection_(torch.from_numpy(features.astype(np.float32))).numpy()
        return nearness(rows, self.references.points, self.references.least)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The group of each row: int32 (n,), `NONE` where it is in none."""
        best = self.probabilities(features).argmax(axis=1)
        numbers = np.array(self.groups, np.int32)[best]
        numbers[~self.belongs(features)] = NONE
        return numbers

    def said(self) -> str:
        """Which model it is, and how far it agrees with the groups, in a few words."""
        from headlight.counts import counted

        if not self.reviewed:
            return f"as fitted: {counted(len(self.groups), 'group')}"
        agrees = f"{percent(self.agreement)} of the images"
        if self.by_hand:
            agrees += f" and {percent(self.agreement_by_hand)} of those placed by hand"
        return f"as reviewed: {counted(len(self.groups), 'group')}, agrees with {agrees}"


def percent(share: float) -> str:
    """A share as ``99.1 %``; never 100 where anything is missing."""
    return f"{np.floor(share * 1000) / 10:g} %"


Rows = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Gives rows of a fit, int64 (k,), and them projected, float16 (k, d)."""


def groups_model(review: Review, rows: Rows | None = None) -> GroupsModel:
    """The model of the groups of ``review``: what prediction and the ONNX export use.

    The fit's own head where every image is in the group it was fitted to; else one learned from
    the groups (`headlight.review.learning.learn_groups`), in the fit's projection. Either with what
    tells strangers, images of no group (`headlight.review.strangers`). It is kept in the run, and
    used again until an image moves or is marked.

    Arguments:
        review: of a fitted run.
        rows: those there are features of, if some are gone: the model is then for their groups
            only, tells no strangers and is not kept. None: all, read when they are needed.

    Raises:
        HeadlightError: a file of the run is damaged; or images have moved, and their features are
            gone; or all are outliers.
    """
    file, signature = review.run.path / FILE, _signature(review)
    if found := _kept(file, signature):
        return found
    as_fitted = _as_fitted(review)
    if rows:
        return _fitted(review) if as_fitted else _learned(review, *_kept_rows(review, *rows()))[0]
    try:
        points = projected_rows(review.run)
    except HeadlightError:
        if as_fitted:  # the features may have been deleted: then no image is called a stranger
            return _fitted(review)
        raise
    kept, points = _kept_rows(review, np.arange(len(points)), points)
    if as_fitted:
        model, right = _fitted(review), np.ones(len(kept), bool)
    else:
        model, right = _learned(review, kept, points)
    if len(kept):
        hand = review.by_hand[kept]
        near = References(*reference_points(points, review.labels[kept], hand))
        right = right & (nearness(points, near.points, near.least) >= 0)
        model = replace(_agreeing(model, right, hand), references=near)
    with suppress(OSError, HeadlightError):  # it is only not kept
        _keep(file, signature, model)
    return model


def _kept_rows(
    review: Review, known: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of some rows, and them projected, those that are no outliers."""
    inside = ~review.outlier[known]
    return known[inside], points[inside]


def _as_fitted(review: Review) -> bool:
    """Whether the fit's own head answers with the groups."""
    table = review.run.assignments
    if "joined" in table.column_names and table["joined"].null_count < len(table):
        return False  # these images were put in groups by another model
    same = np.array_equal(review.labels, table["cluster"].to_numpy())
    return same and set(review.run.clusters["cluster"].to_pylist()) <= review.names.keys()


def _fitted(review: Review) -> GroupsModel:
    """The fit's own head."""
    scp = review.run.model
    groups = list(review.run.fit.groups or range(scp.n_clusters_))
    hand = int((review.by_hand & ~review.outlier).sum())
    return GroupsModel(scp, groups, False, 1.0, 1.0, hand)


def _learned(
    review: Review, kept: np.ndarray, points: np.ndarray
) -> tuple[GroupsModel, np.ndarray]:
    """A model of the groups, and which of the `kept` rows it puts in theirs: bool (k,)."""
    from headlight.review.learning import learn_groups

    if not len(kept):
        raise HeadlightError(
            f"all images of {review.run.path} are marked as outliers: there is no group to learn"
        )
    groups, y = np.unique(review.labels[kept], return_inverse=True)
    hand = review.by_hand[kept]
    confidence = np.nan_to_num(review.run.assignments["confidence"].to_numpy()[kept])
    learned = learn_groups(points, y, hand, confidence.astype(np.float32))
    model = GroupsModel(
        _scp(review.run.model, learned), groups.tolist(), True, 1.0, 1.0, int(hand.sum())
    )
    return _agreeing(model, learned.right, hand), learned.right


def _agreeing(model: GroupsModel, right: np.ndarray, hand: np.ndarray) -> GroupsModel:
    """``model`` with its agreement, given which rows are right and which placed by hand."""
    by_hand = float(right[hand].mean()) if hand.any() else 1.0
    return replace(model, agreement=float(right.mean()), agreement_by_hand=by_hand)


def _scp(base: SCP, learned: Learned) -> SCP:
    """The projection of a fit, and a head that was learned."""
    from scipy.cluster.hierarchy import linkage

    from headlight.clustering import SCP

    weight = learned.weight.numpy()
    k = len(weight)
    tensors, metadata = base.state()
    tensors = {name: value for name, value in tensors.items() if name.startswith("projection.")}
    tensors |= {"head.weight": weight, "head.bias": learned.bias.numpy()}
    unit = weight / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-12)
    tensors["linkage"] = linkage(unit, "average") if k > 1 else np.empty((0, 4))
    parameters = metadata["parameters"] | {"recipe": "robust", "n_clusters": k}
    fitted = metadata["fitted"] | {
        "n_clusters_": k,
        "n_iter_": learned.rounds,
        "temperature_": learned.temperature,
        "graph_information_": None,  # never asked for
    }
    return SCP.from_state(tensors, {"parameters": parameters, "fitted": fitted})


def _signature(review: Review) -> str:
    """Of all that the model depends on."""
    digest = hashlib.sha256(f"{METHOD} {review.run.fit.id}".encode())
    for array in (review.labels.astype("<i4"), review.outlier, review.by_hand):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _keep(file: Path, signature: str, model: GroupsModel) -> None:
    about = {
        "signature": signature,
        "reviewed": model.reviewed,
        "groups": model.groups,
        "agreement": model.agreement,
        "agreement_by_hand": model.agreement_by_hand,
        "by_hand": model.by_hand,
    }
    near = model.references
    write_model(
        file, model.scp, about, {"points": near.points, "least": near.least} if near else {}
    )


def _kept(file: Path, signature: str) -> GroupsModel | None:
    """The model in a file, if it is whole and of these groups."""
    try:
        scp, about, arrays = read_model(file)
        if about.pop("signature") != signature:
            return None
        references = References(**arrays) if arrays else None
        return GroupsModel(scp, references=references, **about)
    except (HeadlightError, KeyError, TypeError):
        return None
