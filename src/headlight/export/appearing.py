"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.export.places import check_place, writing
from headlight.runs import Run


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
