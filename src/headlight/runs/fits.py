"""The fits of a run, each in its own folder, so that earlier ones can be restored."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def save_fit(
    run: Run,
    info: RunInfo,
    fit: dict[str, Any],
    scp: SCP,
    *,
    assignments: pa.Table,
    clusters: pa.Table,
    discard_edits: bool,
) -> None:
    """Save a fit and make it the current one. Call it inside `headlight.runs.run.locked` only.

    Arguments:
        run: the run, as it is on disk.
        info: the new content of ``run.json``, without the fit.
        fit: the fields of `FitInfo` that are known before the files are written.
        scp: the fitted estimator.
        assignments: see `headlight.runs.tables.assignments_table`.
        clusters: see `headlight.runs.tables.clusters_table`.
        discard_edits: make the id differ from that of an equal fit, whose edits would apply
            otherwise.
    """
    (run.path / FITS).mkdir(exist_ok=True)
    _delete_leftovers(run.path)
    if former := run.info.fit:
        if discard_edits:
            series = len(list((run.path / FITS).iterdir()))
            fit = fit | {"former": former.id, "series": series}
        else:  # the same command again must not return to the fit that was edited
            fit = fit | {"former": former.former, "series": former.series}
    rows = hashlib.sha256(f"{fit.get('series') or ''}\0".encode())
    for path in assignments["path"].to_pylist():
        rows.update(f"{path}\0".encode())
    with _new_folder(run.path) as folder:
        number = save_model(folder / "model.safetensors", scp, rows.digest())
        write_table(folder / "assignments.parquet", assignments)
        write_table(folder / "clusters.parquet", clusters)
        files = {name: digest(folder / name) for name in FIT_FILES}
        record = FitInfo(**fit, id=number, files=files)
        _place(run.path, folder, record)
    # From here on the new fit is current.
    write_record(run.path / INFO, info.model_copy(update={"fit": record}))
    publish(run.path, record.id)


def publish(folder: Path, fit: str) -> None:
    """Copy the files of the current fit to the top of the run folder."""
    for name in FIT_FILES:
        with atomic(folder / name) as temporary:
            shutil.copyfile(folder / FITS / fit / name, temporary)


def restore_fit(run: Run, fit: str) -> Run:
    """Make an earlier fit the current one again; its edits apply again.

    Arguments:
        run: with more than one fit.
        fit: id of the fit, a folder in ``RUN/fits``.

    Returns:
        The run, opened again.

    Raises:
        HeadlightError: there is no such fit, or it is damaged; nothing was changed.
    """
    fits = run.path / FITS
    known = sorted(file.parent.name for file in fits.glob(f"[!.]*/{RECORD}"))
    if fit not in known:
        listed = ", ".join(known) or "none"
        raise HeadlightError(f"{run.path} has no fit {fit!r}: choose one of its fits ({listed})")
    with locked(run.path):
        file = fits / fit / RECORD
        record = read_record(file, FitInfo, "fit the run again")
        if record.id != fit:
            raise HeadlightError(f"{file} is from another fit: fit the run again")
        info = load_run(run.path).info.model_copy(update={"fit": record})
        restored = Run(run.path, info)
        for name in FIT_FILES:  # before anything changes
            restored.file(name)
        write_record(run.path / INFO, info)
        publish(run.path, fit)
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
    ours = "|".join(re.escape(name) for name in (INFO, "quarantine.parquet", *FIT_FILES))
    for file in folder.iterdir():
        if re.fullmatch(rf"\.({ours})\.\w{{8}}", file.name):
            with suppress(OSError):
                file.unlink()
