"""The destination of an export: a new file or folder that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from headlight.errors import HeadlightError, reason
from headlight.runs import Run

WORKPLACE = ".headlight-export-"  # how the hidden folders begin in which exports are prepared
CONTENT, LOCK, OURS = "export", "lock", "made-by-headlight"  # what lies in one, and nothing else


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Arguments:
        path: the new file or folder.
        exported: images in it.
        linked: of those, hard links to the user's own files.
        copied: of those, copies.
        missing: path and reason of images that could not be exported.
    """

    path: Path
    exported: int
    linked: int = 0
    copied: int = 0
    missing: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def new_file(run: Run, dest: Path) -> Iterator[Path]:
    """A hidden path near ``dest`` for a file that is moved there on success.

    Arguments:
        run: what is exported; ``dest`` must lie outside it and its images.
        dest: the file; must not exist.

    Raises:
        HeadlightError: ``dest`` exists, lies where it must not, or can't be written.
    """
    with _writing(dest):
        if dest.is_dir():
            raise HeadlightError(f"{dest} is a folder: give the name of a new file")
        if dest.exists() or dest.is_symlink():
            raise HeadlightError(f"{dest} exists already: give another name, or delete it first")
        _refuse_own_places(run, dest)
        with _workplace(dest) as content:
            yield content
            with content.open("rb+") as stream:
                os.fsync(stream.fileno())
            content.rename(dest)


@contextmanager
def new_folder(run: Run, dest: Path) -> Iterator[Path]:
    """A hidden folder near ``dest`` that is moved there on success.

    Arguments:
        run: what is exported; ``dest`` must lie outside it and its images.
        dest: the folder; may exist if it is empty.

    Raises:
        HeadlightError: ``dest`` is not free, lies where it must not, or can't be written.
    """
    with _writing(dest):
        _refuse_taken_folder(dest)
        _refuse_own_places(run, dest)
        with _workplace(dest) as content:
            content.mkdir()
            yield content
            if dest.exists():
                dest.rmdir()  # empty, or this fails
            content.rename(dest)


@contextmanager
def _writing(dest: Path) -> Iterator[None]:
    """Turn an error of the system (full disk, no permission, …) into a sentence."""
    try:
        yield
    except OSError as error:
        raise HeadlightError(
            f"{dest} can't be written: {reason(error)}; nothing was left there"
        ) from error


def _refuse_own_places(run: Run, dest: Path) -> None:
    """Refuse a destination inside the user's images or the run."""
    place = dest.resolve()
    if place.is_relative_to(run.path.resolve()):
        raise HeadlightError(
            f"{dest} lies inside the run {run.path}, whose files are headlight's own: "
            "choose another destination"
        )
    images = Path(run.info.source.uri)
    if images.is_absolute() and place.is_relative_to(images):
        raise HeadlightError(
            f"{dest} lies inside {images}, where the next run would take it for new images: "
            "choose another destination"
        )


def _refuse_taken_folder(dest: Path) -> None:
    if dest.is_symlink():
        raise HeadlightError(f"{dest} is a link: give a folder that doesn't exist yet")
    if not dest.exists():
        return
    if not dest.is_dir():
        raise HeadlightError(f"{dest} is a file: give a folder that doesn't exist yet")
    if any(dest.iterdir()):
        raise HeadlightError(f"{dest} is not empty: give a folder that doesn't exist yet")
    if dest.is_mount():
        raise HeadlightError(f"{dest} is where a disk is mounted: give a folder inside it")


@contextmanager
def _workplace(dest: Path) -> Iterator[Path]:
    """A path in a hidden folder beside ``dest``, which this process locks and deletes at the end.

    What an export that was killed has left there is deleted too. Folders made above ``dest`` are
    removed again after a failure.
    """
    absent = [folder for folder in dest.parents if not folder.exists()]
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(dest.parent)
        with _locked_folder(dest.parent) as folder:
            yield folder / CONTENT
    except BaseException:
        for folder in absent:  # the deepest first
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _locked_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=WORKPLACE, dir=parent))
    lock = FileLock(folder / LOCK)
    try:
        with suppress(NotImplementedError, OSError):  # a file system without locks
            lock.acquire()
            (folder / OURS).touch()  # only now: a mark without a lock is an abandoned one
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _delete_abandoned(parent: Path) -> None:
    """Delete the workplaces in ``parent`` whose process has ended, and nothing else."""
    for workplace in parent.glob(f"{WORKPLACE}*"):
        with suppress(OSError, NotImplementedError, Timeout):
            if workplace.is_symlink() or not (workplace / OURS).is_file():
                continue
            if {child.name for child in workplace.iterdir()} <= {CONTENT, LOCK, OURS}:
                with FileLock(workplace / LOCK, timeout=0):
                    shutil.rmtree(workplace)
