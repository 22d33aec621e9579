"""``edits.jsonl``: the edits of a run, one JSON object per line, append-only."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from headlight.errors import HeadlightError, reason
from headlight.runs.files import atomic, sync_folder

FILE = "edits.jsonl"
CHECK = ".edits.check"  # length and CRC-32 of what was acknowledged
LOCK = ".edits.lock"
WAIT = 10.0  # seconds for another process to finish its append, which takes milliseconds
LONGEST_NAME = 200

Edit = dict[str, Any]
"""``edit`` says which kind, see the functions below. In memory images are rows of the current fit;
`headlight.review.lines` gives the line of the file, where they are named by their keys."""


def rename(cluster: int, name: str) -> Edit:
    """Name a cluster, with 1 to 200 letters; one that was proposed is accepted by it."""
    return {"edit": "rename", "cluster": cluster, "name": name}


def merge(clusters: Sequence[int], into: int) -> Edit:
    """Merge all ``clusters`` into one of them, ``into``."""
    return {"edit": "merge", "clusters": [int(c) for c in clusters], "into": int(into)}


def split(cluster: int, to: Mapping[int, np.ndarray], new: Mapping[int, str]) -> Edit:
    """Split new clusters off a cluster.

    Arguments:
        cluster: the cluster; it keeps all other rows.
        to: new cluster → its rows, integers (m,). Replaying the log needs no computation.
        new: names of the new clusters.
    """
    return {"edit": "split", "cluster": int(cluster), "to": dict(to), "new": dict(new)}


def move(to: Mapping[int, np.ndarray], new: Mapping[int, str] | None = None) -> Edit:
    """Move rows by hand: cluster → rows; ``new`` names the new clusters."""
    return {"edit": "move", "to": dict(to), "new": dict(new or {})}


def assign(to: Mapping[int, np.ndarray], new: Mapping[int, str] | None = None) -> Edit:
    """Move rows as a refit or another fit has them: like `move`, but no person looked at each."""
    return {"edit": "assign", "to": dict(to), "new": dict(new or {})}


def take_over(to: Mapping[int, np.ndarray], new: Mapping[int, str], fit: str) -> Edit:
    """Like `assign`, as another fit of the run has them; ``new`` names the new clusters."""
    return {**assign(to, new), "of": fit}


def mark_outliers(rows: np.ndarray, value: bool) -> Edit:
    """Mark rows as outliers, which belong to no cluster, or remove the mark."""
    return {"edit": "outlier", "rows": rows, "value": value}


def mark_done(cluster: int, value: bool) -> Edit:
    """Mark a cluster as reviewed, or remove the mark."""
    return {"edit": "done", "cluster": int(cluster), "value": value}


def accept(cluster: int) -> Edit:
    """Make a group that an update proposed one like any other."""
    return {"edit": "accept", "cluster": int(cluster)}


def dismiss(cluster: int, to: Mapping[int, np.ndarray]) -> Edit:
    """Take back a group that an update proposed; its rows become outliers of other clusters.

    Arguments:
        cluster: the proposed group.
        to: cluster → rows that are filed under it.
    """
    return {"edit": "dismiss", "cluster": int(cluster), "to": dict(to)}


def mark_seen(rows: np.ndarray) -> Edit:
    """Note that a person has looked at rows that an update brought."""
    return {"edit": "seen", "rows": rows}


def clusters_of(edit: Edit) -> list[int]:
    """The clusters that an edit names, ascending; not those it takes rows out of."""
    one = [edit[key] for key in ("cluster", "into") if key in edit]
    return sorted({*one, *edit.get("clusters", ()), *edit.get("to", ())})


UNDO: Edit = {"edit": "undo"}
"""Takes back the last edit in force."""

REDO: Edit = {"edit": "redo"}
"""Brings back the last edit taken back, until there is a new one."""


class EditLog:
    """The log of one run; appending takes a lock.

    A line counts once its line end is written: an incomplete line after a crash was never
    acknowledged, and the next append overwrites it. Several processes may append; each reads the
    others' lines first. A hidden file holds the length and checksum of the log after the last
    append, so that lines lost or changed since are noticed.

    Arguments:
        folder: of the run.
        fit: id of the fit that began the review: see `headlight.runs.info.FitInfo.review`. Edits of
            other reviews are left where they are.
    """

    def __init__(self, folder: Path, fit: str) -> None:
        self.path = folder / FILE
        self.fit = fit
        self.of_other_fits = 0
        self._read_to = 0
        self._crc = 0  # of the bytes up to there
        self.lines = 0

    def read(self) -> Iterator[tuple[int, Edit]]:
        """Number and content of each line of this review added since the last read.

        Raises:
            HeadlightError: a line is damaged, or the file has become shorter.
        """
        length, crc = self._acknowledged()  # first: what is appended meanwhile only adds
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read_to:
                    raise HeadlightError(f"{self.path} has lost lines while in use: open it again")
                file.seek(self._read_to)
                data = file.read()
        except FileNotFoundError:
            if self._read_to:
                raise HeadlightError(f"{self.path} was deleted in use: open it again") from None
            data = b""
        except OSError as error:
            raise HeadlightError(f"{self.path} can't be read: {reason(error)}") from error
        checked = length - self._read_to
        if checked > len(data) or (checked >= 0 and zlib.crc32(data[:checked], self._crc) != crc):
            raise HeadlightError(
                f"{self.path} lacks edits that were made, or was changed: restore it from a copy, "
                f"or delete {self.path.parent / CHECK} to go on with what is left"
            )
        for raw in data.split(b"\n")[:-1]:
            self._advance(raw + b"\n")
            edit = self._parsed(raw)
            if edit["fit"] == self.fit:
                yield self.lines, edit
            else:
                self.of_other_fits += 1

    def _advance(self, line: bytes) -> None:
        self.lines += 1
        self._read_to += len(line)
        self._crc = zlib.crc32(line, self._crc)

    def _acknowledged(self) -> tuple[int, int]:
        """Length of the file after the last append, and its CRC-32; (-1, 0) where unknown."""
        file = self.path.parent / CHECK
        try:
            length, crc = file.read_text("ascii").split()
            return int(length), int(crc, 16)
        except FileNotFoundError:
            return -1, 0
        except (OSError, ValueError) as error:
            raise HeadlightError(f"{file} is damaged: delete it to go on") from error

    def append(self, edit: Edit) -> Edit:
        """Write one edit; when this returns, it is on disk. Call it inside `locked` only.

        Returns:
            The edit as `read` gives it to others: with ``fit`` and ``at``, the time in UTC.

        Raises:
            HeadlightError: it can't be written; the file is unchanged.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        edit = {"fit": self.fit, "at": now, **edit}
        data = (json.dumps(edit, ensure_ascii=False) + "\n").encode()
        fresh = not self.path.exists()
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.ftruncate(handle, self._read_to)  # what a crash left of a line
                try:
                    _write_whole(handle, data, self._read_to)
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, self._read_to)
                    raise
            finally:
                os.close(handle)
            if fresh:
                sync_folder(self.path.parent)
        except OSError as error:
            raise HeadlightError(
                f"the edit was not saved because {self.path} can't be written: {reason(error)}; "
                "fix that and try again (all earlier edits are safe)"
            ) from error
        self._advance(data)
        with suppress(OSError), atomic(self.path.parent / CHECK) as temporary:
            # An old one stays true of the lines it knows.
            temporary.write_text(f"{self._read_to} {self._crc:08x}\n", "ascii")
        return edit

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from appending meanwhile.

        Raises:
            HeadlightError: another process holds the lock for too long, or the folder can't be
                written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path.parent / LOCK, timeout=WAIT)
        try:
            lock.acquire()
        except Timeout:
            raise HeadlightError(
                f"another headlight is editing {self.path.parent}: wait for it, then try again"
            ) from None
        except OSError as error:
            raise HeadlightError(
                f"the edit was not saved because {self.path.parent} can't be written: "
                f"{reason(error)}"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _parsed(self, raw: bytes) -> Edit:
        try:
            edit = json.loads(raw)
            if isinstance(edit["fit"], str) and isinstance(edit["edit"], str):
                return edit
        except (ValueError, KeyError, TypeError):
            pass
        raise HeadlightError(
            f"line {self.lines} of {self.path} is damaged, so the edits can't be applied: "
            f"restore the file from a copy, or move it and {CHECK} away to start from the clusters "
            "as fitted"
        )


def _write_whole(handle: int, data: bytes, offset: int) -> None:
    while data:
        done = os.pwrite(handle, data, offset)
        data, offset = data[done:], offset + done
