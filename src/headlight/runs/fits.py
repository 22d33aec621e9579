"""The fits of a run, each in its own folder, so that earlier ones can be restored."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headlight.errors import HeadlightError
from headlight.runs.files import FITS, UMASK, atomic, digest, sync_folder, write_table
from headlight.runs.info import FitInfo, RunInfo, read_record, write_record
from headlight.runs.model import save_model
from headlight.runs.run import FIT_FILES, INFO, Run, load_run, locked

if TYPE_CHECKING:
    from headlight.clustering import SCP

RECORD = "fit.json"
GONE = "gone.parquet"


def save_fit(
    run: Run,
    info: RunInfo,
    fit: dict[str, Any],
    scp: SCP,
    *,
    assignments: pa.Table,
    clusters: pa.Table,
    gone: pa.Table | None = None,
    current: bool = True,
) -> FitInfo:
    """Save a fit, and make it the current one. Call it inside `headlight.runs.run.locked` only.

    Arguments:
        run: the run, as it is on disk.
        info: the new content of ``run.json``, without the fit.
        fit: the fields of `FitInfo` that are known before the files are written.
        scp: the fitted estimator.
        assignments: see `headlight.runs.tables.assignments_table`.
        clusters: see `headlight.runs.tables.clusters_table`.
        gone: rows of earlier assignments whose images are no longer in the source.
        current: False only keeps it, beside the current one.

    Returns:
        Its record.
    """
    (run.path / FITS).mkdir(exist_ok=True)
    _delete_leftovers(run.path)
    rows = hashlib.sha256(f"{fit.get('series') or ''}\0".encode())
    for path in assignments["path"].to_pylist():
        rows.update(f"{path}\0".encode())
    if fit.get("review"):  # else the numbers are those the model gives
        rows.update(assignments["cluster"].to_numpy().tobytes())
    with _new_folder(run.path) as folder:
        number = save_model(folder / "model.safetensors", scp, rows.digest())
        write_table(folder / "assignments.parquet", assignments)
        write_table(folder / "clusters.parquet", clusters)
        names: tuple[str, ...] = FIT_FILES
        if gone is not None:
            write_table(folder / GONE, gone)
            names = (*FIT_FILES, GONE)
        files = {name: digest(folder / name) for name in names}
        record = FitInfo(**fit, id=number, files=files)
        _place(run.path, folder, record)
    if current:  # from here on
        write_record(run.path / INFO, info.model_copy(update={"fit": record}))
        publish(run.path, record.id)
    return record


def publish(folder: Path, fit: str) -> None:
    """Copy the files of the current fit to the top of the run folder."""
    for name in FIT_FILES:
        with atomic(folder / name) as temporary:
            shutil.copyfile(folder / FITS / fit / name, temporary)


def fit_ids(run: Run) -> list[str]:
    """The ids of all fits that are kept in a run, sorted."""
    return sorted(file.parent.name for file in (run.path / FITS).glob(f"[!.]*/{RECORD}"))


def fits_of(run: Run) -> list[tuple[FitInfo, datetime]]:
    """All fits that are kept in a run, the oldest first, and when each was saved (UTC).

    A fit whose record is damaged is left out: it can't be restored either.
    """
    found = []
    for fit in fit_ids(run):
        file = run.path / FITS / fit / RECORD
        with suppress(HeadlightError, OSError):
            record = read_record(file, FitInfo, "fit the run again")
            if record.id == fit:
                found.append((record, datetime.fromtimestamp(file.stat().st_mtime, UTC)))
    return sorted(found, key=lambda one: (one[1], one[0].id))


def run_at(run: Run, fit: str) -> Run:
    """The run as it is with one of its fits, whichever is the current one.

    Arguments:
        run: with that fit.
        fit: id of the fit, a folder in ``RUN/fits``, or as much of it as no other begins with.

    Raises:
        HeadlightError: there is no such fit, or its record is damaged.
    """
    known = fit_ids(run)
    found = [name for name in known if fit and name.startswith(fit)]
    if len(found) != 1:
        listed = ", ".join(known) or "none"
        what = f"has several fits that begin with {fit!r}" if found else f"has no fit {fit!r}"
        raise HeadlightError(f"{run.path} {what}: choose one of its fits ({listed})")
    file = run.path / FITS / found[0] / RECORD
    record = read_record(file, FitInfo, "fit the run again")
    if record.id != found[0]:
        raise HeadlightError(f"{file} is from another fit: fit the run again")
    return Run(run.path, run.info.model_copy(update={"fit": record}))


def next_group(run: Run) -> int:
    """The first number that no cluster of any fit of the current review has had."""
    review = run.fit.review_id
    taken = [fit.next_group or 0 for fit, _ in fits_of(run) if fit.review_id == review]
    return max(taken, default=0)


def restore_fit(run: Run, fit: str) -> Run:
    """Make an earlier fit the current one again; its edits apply again.

    Arguments:
        run: with more than one fit.
        fit: id of the fit; see `run_at`.

    Returns:
        The run, opened again.

    Raises:
        HeadlightError: there is no such fit, or it is damaged; nothing was changed.
    """
    run_at(run, fit)
    with locked(run.path):
        restored = run_at(load_run(run.path), fit)
        for name in FIT_FILES:  # before anything changes
            restored.file(name)
        write_record(run.path / INFO, restored.info)
        publish(run.path, restored.fit.id)
    return load_run(run.path)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder / FITS))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _place(folder: Path, temporary: Path, record: FitInfo) -> None:
    """Move a complete fit, ``temporary``, to the folder of its id."""
    place = folder / FITS / record.id
    write_record(temporary / RECORD, record)
    temporary.chmod(0o777 & ~UMASK)
    if place.exists():  # the same fit; its files may have been damaged since
        for file in temporary.iterdir():
            file.replace(place / file.name)
    else:
        temporary.rename(place)
    sync_folder(place.parent)


def _delete_leftovers(folder: Path) -> None:
    for temporary in (folder / FITS).glob(".new-*"):
        shutil.rmtree(temporary, ignore_errors=True)
    ours = "|".join(
        re.escape(name) for name in (INFO, "quarantine.parquet", "groups.safetensors", *FIT_FILES)
    )
    for file in folder.iterdir():
        if re.fullmatch(rf"\.({ours})\.\w{{8}}", file.name):
            with suppress(OSError):
                file.unlink()
