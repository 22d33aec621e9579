"""A run as its user sees it: the groups as reviewed, and everything one does with them."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headlight import runs
from headlight.errors import HeadlightError

if TYPE_CHECKING:
    from headlight.export import ExportReport
    from headlight.features import EmbedReport, Stages
    from headlight.images import ImageSource
    from headlight.review import Review, UpdateReport

Path_ = str | os.PathLike[str]


class Run(runs.Run):
    """A run folder, opened. All edits are applied, also those made while it is open.

    Use `load_run`, or what `cluster` returns.

    Attributes:
        path: the folder.
        info: the contents of ``run.json``.
        assignments, clusters: tables of the current fit, as fitted.
        model: the fitted `SCP`.
        source, features, quarantine: the images, their features, and those that can't be used.
    """

    @cached_property
    def _reviewed(self) -> Review:
        return self.review()

    def review(self) -> Review:
        """The run under review, for edits: see `headlight.review.Review`."""
        from headlight.review import Review

        return Review(self)

    def _now(self) -> Review:
        self._reviewed.refresh()
        return self._reviewed

    @property
    def paths(self) -> list[str]:
        """Path of each image in the source, sorted by its bytes."""
        return self.assignments["path"].to_pylist()

    @property
    def labels(self) -> np.ndarray:
        """int32 (n,), the number of each image's group."""
        return self._now().labels

    @property
    def groups(self) -> dict[int, str]:
        """Number → name of each group."""
        return dict(sorted(self._now().names.items()))

    def predict(self, source: Path_ | ImageSource, **options: Any) -> pa.Table:
        """The groups of new images, as `headlight predict` gives them.

        Arguments:
            source: a folder, file, list or URL, see `headlight.images.open_source`, or an
                `ImageSource`.
            options: of `headlight.review.predict_run`: device, progress, encoder, where.

        Returns:
            One row per image; columns as there.
        """
        import pyarrow.parquet as pq

        from headlight.images import open_source
        from headlight.review import predict_run

        with tempfile.TemporaryDirectory(prefix="headlight-") as folder:
            file = Path(folder) / "predictions.parquet"
            predict_run(self, open_source(source), file, **options)
            return pq.read_table(file)

    def evaluate(self, labels: str) -> dict[str, Any]:
        """ACC, NMI and ARI of the groups: see `headlight.review.evaluate`."""
        from headlight.review import evaluate

        return evaluate(self.path, labels)

    def export(self, to: str, dest: Path_, **options: Any) -> ExportReport:
        """Write the groups in another format: see `headlight.export.export_run`."""
        from headlight.export import export_run

        return export_run(self, to, Path(dest), **options)

    def update(
        self,
        source: Path_ | ImageSource | None = None,
        *,
        encoder: str | None = None,
        device: str | None = None,
        ray: str | None = None,
        stages: Stages | None = None,
        on_embedded: Callable[[EmbedReport], None] | None = None,
    ) -> UpdateReport:
        """Bring the run up to date: new images flow into its groups, and the report is rewritten.

        This object is then of the new fit. What happens to groups and images is told by
        `headlight.review.update_run`.

        Arguments:
            source: its images; None: where they were. If they were moved, run
                `headlight relocate` first.
            encoder: name of the run's encoder; required only if it is ``torch:``, which imports
                code.
            device: where to embed; None: as before.
            ray: encode on a Ray cluster: ``local``, ``auto`` or an address, as for `cluster`.
            stages: called with ``embed``, ``update`` and ``report``, in this order; returns the
                progress callback of each.
            on_embedded: called with the `EmbedReport` after embedding.

        Returns:
            What was done.

        Raises:
            HeadlightError: the run is not fitted, or its images or features can't be read; nothing
                is lost, and the same command goes on.
        """
        from headlight.distributed import on_ray
        from headlight.explore import write_report
        from headlight.images import open_source
        from headlight.review import update_run
        from headlight.review.prediction import refuse_code

        refuse_code(self, encoder)
        opened = None if source is None else open_source(source)
        if opened and opened.uri != (known := self.info.source.uri):
            moved = shlex.join(["headlight", "relocate", str(self.path), opened.uri])
            raise HeadlightError(
                f"{self.path} is of the images in {known}: put new images there, then run "
                f"`headlight update {self.path}`; if all of them were moved to {opened.uri}, run "
                f"`{moved}` first"
            )
        options: dict[str, Any] = {} if device is None else {"device": device}
        if ray:
            options["where"] = on_ray(ray)
        updated, report = update_run(
            self, opened, stages=stages, on_embedded=on_embedded, **options
        )
        if report.changed:
            write_report(updated, progress=stages("report") if stages else None)
        opened_again = {"path": updated.path, "info": updated.info}
        self.__dict__.clear()  # what was read of the fit before
        self.__dict__.update(opened_again)
        return report

    def _repr_html_(self) -> str:
        from headlight.review.notebook import run_html

        return run_html(self)


def load_run(path: Path_) -> Run:
    """Open a run folder.

    Arguments:
        path: the folder, as given to ``-o``.

    Raises:
        HeadlightError: there is no such folder, or it is not a run, damaged, or of a newer format.
    """
    return as_run(runs.load_run(path))


def as_run(run: runs.Run) -> Run:
    """The same run with everything one does with it."""
    return Run(run.path, run.info)
