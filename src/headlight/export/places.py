"""Where an export may go, and what it tells when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
