"""The typical images that stand for a cluster in the sidebar."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headlight.explore.app.vectors import Vectors
from headlight.runs import Run

FACES = 4  # of a cluster


class Faces:
    """Those the fit found, and for clusters that were edited since, new ones.

    Arguments:
        run: fitted.
        vectors: of the run.
    """

    def __init__(self, run: Run, vectors: Vectors) -> None:
        self._vectors = vectors
        self._confidence = np.nan_to_num(run.assignments["confidence"].to_numpy())
        fitted = run.assignments["cluster"].to_numpy().astype(np.int32)
        self._seen = fitted, np.zeros(len(fitted), bool)
        prototypes = {row["cluster"]: row["prototypes"] for row in run.clusters.to_pylist()}
        wanted = pa.array([path for paths in prototypes.values() for path in paths], pa.string())
        places = pc.index_in(wanted, run.assignments["path"].combine_chunks()).to_pylist()
        row_of = dict(zip(wanted.to_pylist(), places, strict=True))
        self._found = {
            cluster: [row for path in paths if (row := row_of[path]) is not None][:FACES]
            for cluster, paths in prototypes.items()
        }

    def of(
        self, clusters: Iterable[int], labels: np.ndarray, outlier: np.ndarray
    ) -> dict[int, list[int]]:
        """Rows of typical images by cluster, the most typical first.

        Arguments:
            clusters: wanted.
            labels: int32 (n,), clusters now.
            outlier: bool (n,), which are no cluster's face.
        """
        before, marked = self._seen
        differ = (before != labels) | (marked != outlier)
        if differ.any():
            for changed in {*before[differ].tolist(), *labels[differ].tolist()}:
                self._found.pop(changed, None)
            self._seen = labels.copy(), outlier.copy()
        return {cluster: self._of(cluster) for cluster in clusters}

    def _of(self, cluster: int) -> list[int]:
        if cluster in self._found:
            return self._found[cluster]
        labels, outlier = self._seen
        members = np.flatnonzero((labels == cluster) & ~outlier)
        if not self._vectors.ready:  # until the features are loaded, those the head is surest of
            order = np.argsort(-self._confidence[members], kind="stable")
            return members[order[:FACES]].tolist()
        self._found[cluster] = self._vectors.typical_first(members, outlier)[:FACES].tolist()
        return self._found[cluster]
