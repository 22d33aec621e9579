"""The features as the head sees them: what "typical" and "alike" mean in the app."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from headlight.errors import HeadlightError
from headlight.runs import Run
from headlight.runs.projected import centre_of, projected_rows, typical_first


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

    def typical_first(self, members: np.ndarray, outlier: np.ndarray) -> np.ndarray:
        """``members``, rows of one cluster, the most typical first: int (m,).

        Arguments:
            members: int (m,).
            outlier: bool (n,), rows that don't count for the centre.
        """
        rows = self.rows()
        return typical_first(rows, members, centre_of(rows, members[~outlier[members]]))

    def alike(self, rows: np.ndarray, count: int) -> np.ndarray:
        """The images most similar to ``rows`` taken together: int64 (≤ count,), without them.

        Arguments:
            rows: int (m,), at least one.
            count: how many.
        """
        vectors = self.rows()
        query = centre_of(vectors, rows)[None]
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
            self._rows = projected_rows(self._run)
        except Exception as error:  # said when somebody needs them
            self._problem = error
        finally:
            self._done.set()
