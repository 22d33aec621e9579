"""The data sets that image clustering is judged on, read as they are published."""

from headlight.benchmark.datasets.base import Dataset, Splits
from headlight.benchmark.datasets.registry import DATASETS, find_dataset, open_dataset

__all__ = ["DATASETS", "Dataset", "Splits", "find_dataset", "open_dataset"]
