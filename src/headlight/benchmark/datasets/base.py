"""A benchmark data set: images to fit on, images to evaluate on, and their true labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from headlight.errors import HeadlightError
from headlight.images import ImageSource


class Splits(NamedTuple):
    """Images of a data set; `ImageSource.labels` of both gives the true labels.

    Arguments:
        fit: the images to cluster.
        test: the images to evaluate on; None: the images of `fit`.
    """

    fit: ImageSource
    test: ImageSource | None


@dataclass(frozen=True)
class Dataset:
    """An opened benchmark data set.

    Arguments:
        name: on the command line.
        title: in papers.
        n_clusters: K, the true number of classes.
        official: number of images of the whole data set to fit on, and to evaluate on.
        splits: the images.
    """

    name: str
    title: str
    n_clusters: int
    official: tuple[int, int]
    splits: Splits


def require_labels(values: np.ndarray, first: int, n_classes: int, title: str, where: str) -> None:
    """Refuse labels that are not the data set's.

    Arguments:
        values: (n,) integers.
        first: the lowest label there is.
        n_classes: how many follow each other from there.
        title: of the data set.
        where: the file they come from.

    Raises:
        HeadlightError: one is out of range; the message names the first.
    """
    last = first + n_classes - 1
    wrong = np.flatnonzero((values < first) | (values > last))
    if len(wrong):
        raise HeadlightError(
            f"{where}: image {wrong[0]} has label {values[wrong[0]]}, but {title} has labels "
            f"{first} to {last}: the file is damaged, or of another data set"
        )


def require_classes(source: ImageSource, n_classes: int, title: str) -> None:
    """Refuse a split in which a class has no image: K would not be its number of classes.

    Raises:
        HeadlightError: fewer classes, or more.
    """
    found = len(Counter((source.labels() or {}).values()))
    if found != n_classes:
        raise HeadlightError(
            f"{source.uri} has images of {found} classes, but {title} has {n_classes}: "
            "give the whole data set"
        )
