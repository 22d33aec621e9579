"""The data sets on which image clustering is evaluated, read as published."""

from headlight.benchmark.datasets.base import Dataset, Splits
from headlight.benchmark.datasets.registry import DATASETS, find_dataset, open_dataset

__all__ = ["DATASETS", "Dataset", "Splits", "find_dataset", "open_dataset"]
