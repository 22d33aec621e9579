"""The run folder: all results of a clustering, in open formats."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.runs.files import FITS, read_table

if TYPE_CHECKING:
    from headlight.clustering import SCP
    from headlight.features import FeatureStore
    from headlight.images import ImageSource

FORMAT = 1
FIT_FILES = ("assignments.parquet", "clusters.parquet", "model.safetensors")


class Run:
    """A run folder, opened for reading.

    Arguments:
        path: the folder.
        info: the contents of ``run.json``.

    Use `load_run`.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info

    def __repr__(self) -> str:
        fit = self.info.get("fit")
        what = counted(fit["n_clusters"], "cluster") if fit else "not fitted"
        images = counted(self.info["source"]["images"], "image")
        return f"Run({str(self.path)!r}, {images}, {what})"

    as_html: ClassVar[Callable[[Run], str] | None] = None
    """How a notebook shows a run; `headlight.review` sets it, as imports go down only."""

    def _repr_html_(self) -> str | None:
        return Run.as_html(self) if Run.as_html else None

    @property
    def fitted(self) -> bool:
        """Whether the run has clusters, or only features."""
        return "fit" in self.info

    @cached_property
    def assignments(self) -> pa.Table:
        """One row per image; columns as in `headlight.runs.tables.assignments_table`."""
        return read_table(self.file("assignments.parquet"), self._fit_id)

    @cached_property
    def clusters(self) -> pa.Table:
        """One row per cluster: cluster, name, size, mean_confidence, prototypes, nearest."""
        return read_table(self.file("clusters.parquet"), self._fit_id)

    @cached_property
    def quarantine(self) -> pa.Table:
        """Images that could not be used: path, error."""
        return read_table(self.path / "quarantine.parquet")

    @cached_property
    def model(self) -> SCP:
        """The fitted estimator."""
        from headlight.runs.model import load_model

        return load_model(self.file("model.safetensors"), self._fit_id)

    @cached_property
    def source(self) -> ImageSource:
        """The source of the images."""
        from headlight.images import open_source

        try:
            return open_source(self.info["source"]["uri"])
        except HeadlightError as error:
            raise HeadlightError(
                f"the images of {self.path} are gone: {error}; move them back, or put a link "
                "there to where they are now"
            ) from error

    @property
    def features(self) -> FeatureStore:
        """The features of the images."""
        from headlight.features import FeatureStore

        return FeatureStore.open(self.path / "features.lance")

    def file(self, name: str) -> Path:
        """Where the file ``name`` of the current fit is; at the top in a run without ``fits``."""
        fit = self.path / FITS / self._fit_id
        return (fit if fit.is_dir() else self.path) / name

    @property
    def _fit_id(self) -> str:
        if not self.fitted:
            raise HeadlightError(
                f"{self.path} holds features but no clusters yet: run `headlight fit {self.path}`"
            )
        return self.info["fit"]["id"]


def load_run(path: str | os.PathLike[str]) -> Run:
    """Opens a run folder.

    Arguments:
        path: the folder, as given to ``-o``.

    Raises:
        HeadlightError: there is no such folder, it is not a run, or a newer headlight wrote it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise HeadlightError(f"{folder}: no such run folder")
    try:
        info = json.loads((folder / "run.json").read_text("utf-8"))
        version = info["format"]
    except FileNotFoundError:
        raise HeadlightError(f"{folder} is not a run of headlight: it has no run.json") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadlightError(f"{folder / 'run.json'} is damaged: {error}") from error
    if version != FORMAT:
        raise HeadlightError(
            f"{folder} has format {version}, this headlight reads {FORMAT}: update headlight"
        )
    return Run(folder, info)


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
