"""Writes images into folders one by one, and records which could be exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.export.destination import ExportReport
from headlight.export.image_files import Link, Placer
from headlight.export.result import Result, Row
from headlight.features import Progress
from headlight.images import BadImage
from headlight.runs import Run


class Layout:
    """Writes the images of a run and counts them; images that can't be read are skipped.

    Arguments:
        run: fitted.
        link: ``auto`` or ``copy``, see `Placer`.
        extensions: see `Placer`.
        progress: called with the number of images done and their total.

    Raises:
        HeadlightError: the images are gone, or ``link`` is neither.
    """

    def __init__(
        self, run: Run, link: Link, extensions: bool = True, progress: Progress | None = None
    ) -> None:
        if link not in ("auto", "copy"):
            raise HeadlightError(f"link {link!r}: give auto or copy")
        self.result = Result(run)
        self.missing: list[tuple[str, str]] = []
        self._source = run.source
        self._placer = Placer(self._source, link, extensions)
        self._progress = progress
        self._done = self._linked = 0
        self._last_linked = False

    def place(
        self,
        where: Callable[[Row], Path | None],
        name: Callable[[int], str] | None = None,
    ) -> Iterator[tuple[Row, Path]]:
        """Write every image; each is on disk when it is yielded.

        Arguments:
            where: the folder an image goes to; None: it is left out.
            name: what the image with a given number, from 0, is called, without extension; its
                own name if left out.

        Raises:
            HeadlightError: no image can be exported.
        """
        rows = len(self.result.table)
        tried = 0
        for number, row in enumerate(self.result.rows(self._source)):
            if (folder := where(row)) is not None:
                tried += 1
                try:
                    called = name(number) if name else None
                    file, linked = self._placer.place(row.path, folder, called)
                except BadImage as error:
                    self.missing.append((row.path, str(error)))
                else:
                    self._done += 1
                    self._linked += linked
                    self._last_linked = linked
                    yield row, file
            if self._progress:
                self._progress(number + 1, rows)
        if not self._done:
            path, why = self.missing[0] if self.missing else ("", "the run has none for it")
            raise HeadlightError(
                f"no image of {self._source.uri} could be exported ({path}: {why})"
                if tried
                else f"no image of {self._source.uri} is to be exported: all are outliers"
            )

    def withdraw(self, row: Row, file: Path, why: str) -> None:
        """Delete an image just written, for the given reason."""
        file.unlink()
        self.missing.append((row.path, why))
        self._done -= 1
        self._linked -= self._last_linked

    def report(self, dest: Path) -> ExportReport:
        """What was done."""
        copied = self._done - self._linked
        return ExportReport(dest, self._done, self._linked, copied, self.missing)
