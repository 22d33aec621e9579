"""Progress, tables and messages. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_SECONDS = 10.0  # between two plain progress lines


class Terminal:
    """Prints for one command.

    Arguments:
        quiet: no progress and no remarks, only results.
        as_json: one JSON object on stdout, and nothing else there.
    """

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json

    def say(self, text: str) -> None:
        """Print a remark."""
        if not self.quiet:
            self._err.print(text, markup=False, highlight=False, soft_wrap=True)

    def result(self, text: str) -> None:
        """Print a line of the result, for people."""
        if not self.as_json:
            self._out.print(text, markup=False, highlight=False, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table of the result, for people."""
        if not self.as_json:
            self._out.print(table)

    def data(self, value: dict[str, Any]) -> None:
        """Print the result as JSON, for programs."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False), flush=True)

    @contextmanager
    def progress(self, what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """Show (done, total), rate and time left: a bar on a terminal, plain lines elsewhere."""
        if self.quiet:
            yield lambda done, total: None
        elif self._err.is_terminal:
            with _Bar(self._err, what, unit) as bar:
                yield bar.update
        else:
            yield _Lines(self.say, what, unit).update

    @property
    def _out(self) -> Console:
        from rich.console import Console

        width = None if sys.stdout.isatty() else 120
        return Console(file=sys.stdout, width=width)

    @property
    def _err(self) -> Console:
        from rich.console import Console

        return Console(file=sys.stderr)


class _Bar:
    def __init__(self, console: Console, what: str, unit: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description:>9}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
        )
        self._task = self._progress.add_task(what, total=None, status="")
        self._rate = _Rate(unit)
        self._done = 1

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.update(self._task, completed=self._done, total=self._done)
        self._progress.stop()

    def update(self, done: int, total: int) -> None:
        self._done = done
        # All is reported, but the stage has not ended: the bar pulses until it does.
        shown = total if done < total else None
        status = self._rate.status(done, total)
        self._progress.update(self._task, completed=done, total=shown, status=status)


class _Lines:
    def __init__(self, say: Callable[[str], None], what: str, unit: str) -> None:
        self._say, self._what = say, what
        self._rate = _Rate(unit)
        self._last = time.monotonic()

    def update(self, done: int, total: int) -> None:
        status = self._rate.status(done, total)
        now = time.monotonic()
        if done < total and now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        self._say(f"{self._what}: {status}")


class _Rate:
    """Work per second since the first report; earlier work doesn't count."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._first: tuple[int, float] | None = None

    def status(self, done: int, total: int) -> str:
        """``1,296 of 8,242 images, 43 images/s, 0:02:41 left``; with a rate after one second."""
        now = time.monotonic()
        start, then = self._first = self._first or (done, now)
        text = f"{done:,} of {total:,} {self._unit}"
        if done == start or now - then < 1:
            return text
        rate = (done - start) / (now - then)
        text += f", {rate:,.0f} {self._unit}/s" if rate >= 1 else ""
        if done < total:
            minutes, seconds = divmod(round((total - done) / rate), 60)
            hours, minutes = divmod(minutes, 60)
            text += f", {hours}:{minutes:02d}:{seconds:02d} left"
        return text
