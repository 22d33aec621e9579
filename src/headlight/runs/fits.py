"""The fits of a run, each in its own folder, so that earlier ones can be restored."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headlight.errors import HeadlightError
from headlight.runs.files import FITS, UMASK, atomic, write_json, write_table
from headlight.runs.model import save_model
from headlight.runs.run import FIT_FILES, Run, load_run, locked

if TYPE_CHECKING:
    from headlight.clustering import SCP

RECORD = "fit.json"
PARTS = ("fit", "scores")  # of run.json, those that belong to a fit


def save_fit(
    run: Run,
    info: dict[str, Any],
    scp: SCP,
    assignments: pa.Table,
    clusters: pa.Table,
    *,
    discard_edits: bool,
) -> None:
    """Save a fit and make it the current one. Call it inside `headlight.runs.run.locked` only.

    Arguments:
        run: the run, as it is on disk.
        info: the new content of ``run.json``; the id of the fit is added.
        scp: the fitted estimator.
        assignments: see `headlight.runs.tables.assignments_table`.
        clusters: see `headlight.runs.tables.clusters_table`.
        discard_edits: make the id differ from that of an equal fit, whose edits would apply
            otherwise.
    """
    (run.path / FITS).mkdir(exist_ok=True)
    _delete_leftovers(run.path)
    former = run.info.get("fit", {})
    _adopt(run)
    if discard_edits and former:
        series = len(list((run.path / FITS).iterdir()))
        info["fit"] |= {"former": former["id"], "series": series}
    else:  # the same command again must not return to the fit that was edited
        info["fit"] |= {name: former[name] for name in ("former", "series") if name in former}
    rows = hashlib.sha256(str(info["fit"].get("series", "")).encode() + b"\0")
    for path in assignments["path"].to_pylist():
        rows.update(f"{path}\0".encode())
    with _new_folder(run.path) as folder:
        fit = save_model(folder / "model.safetensors", scp, rows.digest())
        write_table(folder / "assignments.parquet", assignments, fit)
        write_table(folder / "clusters.parquet", clusters, fit)
        info["fit"]["id"] = fit
        _place(run.path, folder, info)
    write_json(run.path / "run.json", info)  # from here on the new fit is current
    publish(run.path, fit)


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
        info = load_run(run.path).info
        try:
            record = json.loads((fits / fit / RECORD).read_text("utf-8"))
            info = {name: info[name] for name in info if name not in PARTS}
            info |= {name: record[name] for name in PARTS if name in record}
            complete = record["fit"]["id"] == fit
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HeadlightError(f"{fits / fit / RECORD} is damaged: fit the run again") from error
        if not complete:
            raise HeadlightError(f"{fits / fit / RECORD} is from another fit: fit the run again")
        restored = Run(run.path, info)
        restored.assignments, restored.clusters  # noqa: B018 - read before anything changes
        write_json(run.path / "run.json", info)
        publish(run.path, fit)
    return load_run(run.path)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder / FITS))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _place(folder: Path, temporary: Path, info: dict[str, Any]) -> None:
    """Move a complete fit, ``temporary``, to the folder of its id."""
    place = folder / FITS / info["fit"]["id"]
    write_json(temporary / RECORD, {name: info[name] for name in PARTS if name in info})
    temporary.chmod(0o777 & ~UMASK)
    if place.exists():  # the same fit; its files may have been damaged since
        for file in temporary.iterdir():
            file.replace(place / file.name)
    else:
        temporary.rename(place)
    _sync(place.parent)


def _adopt(run: Run) -> None:
    """Gives the current fit a folder, if an earlier version saved it at the top only."""
    files = [run.path / name for name in FIT_FILES]
    if run.fitted and run.file("") == run.path / "" and all(file.exists() for file in files):
        with _new_folder(run.path) as folder:
            for file in files:
                shutil.copyfile(file, folder / file.name)
            _place(run.path, folder, run.info)


def _delete_leftovers(folder: Path) -> None:
    for temporary in (folder / FITS).glob(".new-*"):
        shutil.rmtree(temporary, ignore_errors=True)
    ours = "|".join(re.escape(name) for name in ("run.json", "quarantine.parquet", *FIT_FILES))
    for file in folder.iterdir():
        if re.fullmatch(rf"\.({ours})\.\w{{8}}", file.name):
            with suppress(OSError):
                file.unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
