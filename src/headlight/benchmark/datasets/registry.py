"""The registry of data sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headlight.benchmark.datasets import cifar, imagenet
from headlight.benchmark.datasets.base import Dataset, Splits, require_classes
from headlight.benchmark.datasets.stl10 import open_stl10
from headlight.errors import HeadlightError


@dataclass(frozen=True)
class DatasetEntry:
    """A data set of the registry.

    Arguments:
        title: in papers.
        n_clusters: K, the true number of classes.
        official: number of images to fit on, and to evaluate on.
        open: opens the images in a folder.
    """

    title: str
    n_clusters: int
    official: tuple[int, int]
    open: Callable[[Path], Splits]


DATASETS: dict[str, DatasetEntry] = {
    "cifar10": DatasetEntry(
        "CIFAR-10",
        10,
        (50_000, 10_000),
        lambda data: cifar.open_cifar(data, cifar.TEN, cifar.CIFAR10),
    ),
    "cifar20": DatasetEntry(
        "CIFAR-20",
        20,
        (50_000, 10_000),
        lambda data: cifar.open_cifar(data, cifar.HUNDRED, cifar.CIFAR20),
    ),
    "cifar100": DatasetEntry(
        "CIFAR-100",
        100,
        (50_000, 10_000),
        lambda data: cifar.open_cifar(data, cifar.HUNDRED, cifar.CIFAR100),
    ),
    "stl10": DatasetEntry("STL-10", 10, (5_000, 8_000), open_stl10),
    "imagenet10": DatasetEntry(
        "ImageNet-10",
        10,
        (13_000, 13_000),
        lambda data: imagenet.open_imagenet(data, imagenet.TEN),
    ),
    "imagenet-dogs": DatasetEntry(
        "ImageNet-Dogs",
        15,
        (19_500, 19_500),
        lambda data: imagenet.open_imagenet(data, imagenet.DOGS),
    ),
}


def find_dataset(name: str) -> DatasetEntry:
    """The data set called ``name``.

    Raises:
        HeadlightError: there is no such data set; the message lists them.
    """
    if name not in DATASETS:
        raise HeadlightError(f"unknown data set {name!r}: give one of {', '.join(DATASETS)}")
    return DATASETS[name]


def open_dataset(name: str, data: Path) -> Dataset:
    """Find a data set's images and their labels; no image is read.

    Arguments:
        name: one of `DATASETS`.
        data: the folder that holds it, as published.

    Raises:
        HeadlightError: there is no such data set, or its files are missing or damaged; the message
            says which files go where.
    """
    known = find_dataset(name)
    splits = known.open(data)
    for source in splits:
        if source is not None:
            require_classes(source, known.n_clusters, known.title)
    return Dataset(name, known.title, known.n_clusters, known.official, splits)
