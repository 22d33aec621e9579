"""The features as the head sees them: what "typical" and "alike" mean in the app."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from headlight.errors import HeadlightError
from headlight.runs import Run
from headlight.runs.features import plain_batches, plain_features


class Vectors:
    """Projected features of all images, loaded in a thread of their own.

    Arguments:
        run: fitted.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rows = np.empty((0, 0), np.float16)
        self._problem: Exception | None = None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._index: Any = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begins to load, unless it has begun."""
        with self._lock:
            if not self._thread:
                self._thread = threading.Thread(target=self._load, name="features", daemon=True)
                self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `rows` would answer at once."""
        return self._done.is_set() and self._problem is None

    def rows(self) -> np.ndarray:
        """float16 (n, dim), rows of length 1; waits until they are loaded.

        Raises:
            HeadlightError: the run has no features that fit its assignments.
        """
        self.start()
        self._done.wait()
        if self._problem:
            raise HeadlightError(f"the features can't be read: {self._problem}")
        return self._rows

    def typical(self, members: np.ndarray, pull: np.ndarray | None = None) -> np.ndarray:
        """Cosine of ``members``, int (m,), with their own centre: float32 (m,).

        Arguments:
            members: rows.
            pull: bool (m,), those that count for the centre; None: all.
        """
        rows = self.rows()[members].astype(np.float32)
        centre = rows[pull].sum(axis=0) if pull is not None and pull.any() else rows.sum(axis=0)
        return rows @ (centre / max(float(np.linalg.norm(centre)), 1e-12))

    def alike(self, rows: np.ndarray, count: int) -> np.ndarray:
        """The images most similar to ``rows`` taken together: int64 (≤ count,), without them.

        Arguments:
            rows: int (m,), at least one.
            count: how many.
        """
        vectors = self.rows()
        query = vectors[rows].astype(np.float32).mean(axis=0, keepdims=True)
        query /= max(float(np.linalg.norm(query)), 1e-12)
        wanted = min(len(vectors), count + len(rows))
        found = self._searcher().search(query, wanted)[1][0]
        return found[(found >= 0) & ~np.isin(found, rows)][:count]

    def _searcher(self) -> Any:
        """FAISS over all rows, exact, 2 bytes a number: 10 ms a search among 60,000."""
        import faiss

        vectors = self.rows()
        with self._lock:
            if self._index is None:
                index = faiss.IndexScalarQuantizer(
                    vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
                )
                index.train(vectors[:1].astype(np.float32))
                for start in range(0, len(vectors), 8192):
                    index.add(vectors[start : start + 8192].astype(np.float32))
                self._index = index
        return self._index

    def _load(self) -> None:
        try:
            self._rows = _projected(self._run)
        except Exception as error:  # said when somebody needs them
            self._problem = error
        finally:
            self._done.set()


def _projected(run: Run) -> np.ndarray:
    """All rows through the model's projection; centred only if the run has no model."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    n = len(run.assignments)
    try:
        # Read as plain arrays: to open the model itself would load PyTorch first.
        tensors = load_file(run.file("model.safetensors"))
        mean, axes = tensors["projection.mean"], tensors["projection.components"]
    except (OSError, SafetensorError, KeyError):
        features = plain_features(run)
        centre = features.mean(axis=0, dtype=np.float32)
        for start in range(0, n, 4096):
            part = features[start : start + 4096].astype(np.float32) - centre
            features[start : start + 4096] = _unit(part)
        return features
    found = np.zeros((n, axes.shape[1]), np.float16)
    for rows, vectors in plain_batches(run):
        found[rows] = _unit((vectors.astype(np.float32) - mean) @ axes)
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
