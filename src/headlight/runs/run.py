"""The run folder: all results of a clustering, in open formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.runs.files import FITS, digest, read_table
from headlight.runs.info import FitInfo, RunInfo, read_record

if TYPE_CHECKING:
    from headlight.clustering import SCP
    from headlight.features import FeatureStore
    from headlight.images import ImageSource

INFO = "run.json"
FEATURES = "features.lance"
FIT_FILES = ("assignments.parquet", "clusters.parquet", "model.safetensors")


class Run:
    """A run folder, opened for reading. What users get is `headlight.Run`.

    Arguments:
        path: the folder.
        info: the contents of ``run.json``.

    Use `load_run`.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info

    def __repr__(self) -> str:
        fit = self.info.fit
        what = f"{counted(fit.n_clusters, 'cluster')} as fitted" if fit else "not fitted"
        images = counted(self.info.source.images, "image")
        return f"Run({str(self.path)!r}, {images}, {what})"

    @property
    def fit(self) -> FitInfo:
        """The current fit.

        Raises:
            HeadlightError: there is none yet.
        """
        if self.info.fit is None:
            raise HeadlightError(
                f"{self.path} holds features but no clusters yet: run `headlight fit {self.path}`"
            )
        return self.info.fit

    @cached_property
    def assignments(self) -> pa.Table:
        """One row per image; columns as in `headlight.runs.tables.assignments_table`."""
        return read_table(self.file("assignments.parquet"))

    @cached_property
    def clusters(self) -> pa.Table:
        """One row per cluster: cluster, name, size, mean_confidence, prototypes, nearest."""
        return read_table(self.file("clusters.parquet"))

    @cached_property
    def quarantine(self) -> pa.Table:
        """Images that could not be used: path, error."""
        return read_table(
            self.path / "quarantine.parquet", {"path": pa.string(), "error": pa.string()}
        )

    @cached_property
    def model(self) -> SCP:
        """The fitted estimator."""
        from headlight.runs.model import load_model

        return load_model(self.file("model.safetensors"))

    @cached_property
    def source(self) -> ImageSource:
        """The source of the images."""
        from headlight.images import open_source

        try:
            return open_source(self.info.source.uri)
        except HeadlightError as error:
            raise HeadlightError(
                f"the images of {self.path} are gone: {error}; move them back, or run `headlight "
                f"relocate {self.path} NEW_PLACE`"
            ) from error

    @property
    def features(self) -> FeatureStore:
        """The features of the images."""
        from headlight.features import FeatureStore

        store = FeatureStore.open(self.path / FEATURES)
        made, stored = self.info.encoder, store.settings
        if (made.weights, made.dim, made.views) != (stored.weights, stored.dim, stored.views):
            raise HeadlightError(
                f"{store.path} is not of the run that {self.path / INFO} tells of: "
                "put back the one that belongs there, or embed again with another -o"
            )
        return store

    def file(self, name: str) -> Path:
        """Where the file ``name`` of the current fit is, as it was written.

        Each is there twice, in the fit's own folder and at the top.

        Raises:
            HeadlightError: neither is as it was written, or there is no fit.
        """
        fit = self.fit
        places = [self.path / FITS / fit.id / name, self.path / name]
        for place in places:
            try:
                if digest(place) == fit.files[name]:
                    return place
            except (OSError, KeyError):
                continue
        what = "damaged" if any(place.exists() for place in places) else "missing"
        raise HeadlightError(f"{places[0]} is {what}: run `headlight fit {self.path}` again")


def load_run(path: str | os.PathLike[str]) -> Run:
    """Open a run folder.

    Arguments:
        path: the folder, as given to ``-o``.

    Raises:
        HeadlightError: there is no such folder, or it is not a run, damaged, or of a newer format.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise HeadlightError(f"{folder}: no such run folder")
    remedy = "delete it and run the `headlight cluster` of before: the features are kept"
    try:
        return Run(folder, read_record(folder / INFO, RunInfo, remedy))
    except FileNotFoundError:
        raise HeadlightError(f"{folder} is not a run of headlight: it has no {INFO}") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to the run at the same time.

    Raises:
        HeadlightError: another process is writing to it.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise HeadlightError(
            f"another headlight is writing to {folder}: wait for it, or choose another -o"
        ) from None
