"""Where an export may go, and what it tells when it is done."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.runs import Run


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Arguments:
        path: the file or folder made.
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


def check_place(run: Run, dest: Path) -> None:
    """Keeps an export out of the user's images and out of the run.

    Raises:
        HeadlightError: ``dest`` lies in either.
    """
    place = dest.resolve()
    if place.is_relative_to(run.path.resolve()):
        raise HeadlightError(
            f"{dest} lies inside the run {run.path}, whose files are headlight's own: "
            "choose another destination"
        )
    images = Path(run.info["source"]["uri"])
    if images.is_absolute() and place.is_relative_to(images):
        raise HeadlightError(
            f"{dest} lies inside {images}, where the next run would take it for new images: "
            "choose another destination"
        )


def refuse_taken_file(run: Run, dest: Path) -> None:
    """Keeps an export that is one file from replacing anything.

    Raises:
        HeadlightError: ``dest`` is there, or lies where it must not.
    """
    with writing(dest):
        if dest.is_dir():
            raise HeadlightError(f"{dest} is a folder: give the name of a file to make")
        if dest.exists() or dest.is_symlink():
            raise HeadlightError(f"{dest} is there already: give another name, or delete it first")
        check_place(run, dest)


@contextmanager
def writing(dest: Path) -> Iterator[None]:
    """Turns what the system says of ``dest`` (full disk, no permission, …) into a sentence.

    Raises:
        HeadlightError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise HeadlightError(f"{dest} can't be written: {why}; nothing was left there") from error


@contextmanager
def new_folder(run: Run, dest: Path) -> Iterator[Path]:
    """Gives a hidden folder beside ``dest`` that takes its place on success and vanishes otherwise.

    Arguments:
        run: what is exported; ``dest`` must lie outside it and its images.
        dest: folder to make; may exist if it is empty.

    Raises:
        HeadlightError: ``dest`` is not free, lies where it must not, or can't be written.
    """
    with writing(dest):
        _refuse_taken(dest)
        check_place(run, dest)
        with _appearing(dest) as root:
            yield root


def _refuse_taken(dest: Path) -> None:
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
def _appearing(dest: Path) -> Iterator[Path]:
    made: list[Path] = []
    root: Path | None = None
    try:
        made = _make_parents(dest)
        root = Path(tempfile.mkdtemp(prefix=".headlight-export-", dir=dest.parent))
        yield root
        root.chmod(_default_mode(root))
        if dest.exists():
            dest.rmdir()  # empty, or this fails
        root.rename(dest)
    except BaseException:
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def _make_parents(dest: Path) -> list[Path]:
    """Makes the folders above ``dest``; the list is of those that were not there, deepest first."""
    absent = [folder for folder in dest.parents if not folder.exists()]
    dest.parent.mkdir(parents=True, exist_ok=True)
    return absent


def _default_mode(root: Path) -> int:
    """Permissions of a folder made the ordinary way; `tempfile` makes it the owner's alone."""
    probe = root / ".mode"
    probe.mkdir()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.rmdir()
    return mode
