"""Clusters against labels known from elsewhere: scores, and who is taken for whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headlight.errors import HeadlightError
from headlight.review.evaluating import known_labels
from headlight.review.review import Review

NUMBERS = 24  # classes and clusters up to which the matrix shows numbers
MISTAKES = 12
MOST = 400  # classes or clusters beyond which no matrix is drawn


@dataclass(frozen=True, slots=True)
class Cell:
    """Images of one class in one cluster; share is of the class, 0 to 1."""

    row: int
    column: int
    count: int
    share: float
    matched: bool


@dataclass(frozen=True, slots=True)
class Mistake:
    """Many images of a class in a cluster that is not matched with it.

    Arguments:
        most: the class that most of the cluster's images have: ``label`` itself where a class was
            split into several clusters.
    """

    label: str
    cluster: int
    name: str
    most: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Truth:
    """A confusion matrix with its rows and columns in an order that puts matches on a diagonal.

    Arguments:
        scores: acc, nmi, ari.
        labelled: images that have a label.
        classes: names of the rows, and their sizes.
        columns: clusters and their names.
        cells: those above 0, row by row.
        mistakes: the largest cells beside the diagonal.
    """

    scores: dict[str, float]
    labelled: int
    classes: list[tuple[str, int]]
    columns: list[tuple[int, str]]
    cells: list[Cell]
    mistakes: list[Mistake]

    @property
    def numbers(self) -> bool:
        """Whether it is small enough for numbers."""
        return max(len(self.classes), len(self.columns)) <= NUMBERS

    @property
    def drawn(self) -> bool:
        """Whether it is small enough to be drawn at all."""
        return max(len(self.classes), len(self.columns)) <= MOST


def truth_of(review: Review, names: dict[int, str]) -> Truth | None:
    """Compare the clusters as edited with the labels that `headlight evaluate` left in the run.

    Arguments:
        review: of the run.
        names: of the clusters.

    Returns:
        None where no labels are known, or none for these images.
    """
    try:
        found = known_labels(review)
    except HeadlightError:
        return None  # scores are a bonus; a damaged file must not cost the report
    if found is None:
        return None
    rows, labels = found
    return compare(labels, review.labels[rows], names)


def compare(labels: list[str], clusters: np.ndarray, names: dict[int, str]) -> Truth:
    """The confusion matrix of labels and clusters.

    Arguments:
        labels: (n,), one or more.
        clusters: int (n,).
        names: of the clusters.
    """
    from headlight.evaluation import confusion, score

    matrix = confusion(np.array(labels), clusters)
    order = matrix.table.sum(1).argsort(kind="stable")[::-1]  # the largest class first
    match = dict(matrix.matching.tolist())
    taken = set(match.values())
    columns = [match[r] for r in order.tolist() if r in match]
    columns += [c for c in range(len(matrix.clusters)) if c not in taken]
    sizes = matrix.table.sum(1)
    cells = [
        Cell(i, j, int(count), float(count / sizes[r]), match.get(r) == c)
        for i, r in enumerate(order.tolist())
        for j, c in enumerate(columns)
        if (count := matrix.table[r, c])
    ]
    numbers = [int(matrix.clusters[c]) for c in columns]
    classes = [str(matrix.classes[r]) for r in order]
    worst = sorted((c for c in cells if not c.matched), key=lambda c: -c.count)[:MISTAKES]
    mistakes = [
        Mistake(
            classes[cell.row],
            numbers[cell.column],
            names.get(numbers[cell.column], str(numbers[cell.column])),
            str(matrix.classes[matrix.table[:, columns[cell.column]].argmax()]),
            cell.count,
            cell.share,
        )
        for cell in worst
    ]
    return Truth(
        scores=score(np.array(labels), clusters),
        labelled=len(labels),
        classes=[(name, int(sizes[r])) for name, r in zip(classes, order, strict=True)],
        columns=[(k, names.get(k, str(k))) for k in numbers],
        cells=cells,
        mistakes=mistakes,
    )
