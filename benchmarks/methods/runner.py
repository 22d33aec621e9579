"""Fits in worker processes, so that none that hangs or crashes ends the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Timer
from typing import IO

from benchmarks.methods.data import ROOT
from benchmarks.methods.results import Row
from benchmarks.methods.worker import Fit, Work


def run(work: Work, timeout: float) -> Iterator[tuple[Fit, list[Row]]]:
    """Each fit with its rows, in the order of `work.fits`, as soon as it is done.

    A fit that takes too long or crashes becomes a row that says so; a new process does the rest.
    """
    fits = list(work.fits)
    while fits:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as messages:
            process = _start(replace(work, fits=fits), messages)
            try:
                while fits:
                    line, in_time = _next_rows(process, timeout)
                    if line is None:
                        reason = _ended(process, messages)
                        if not in_time:
                            reason = f"not done after {timeout:g} s"
                        yield fits.pop(0), [{"split": "fit", "error": reason}]
                        break
                    yield fits.pop(0), json.loads(line)
            finally:
                process.kill()
                process.wait()


def _start(work: Work, messages: IO[str]) -> subprocess.Popen[str]:
    # The worker runs from the project's root, wherever this one was started from.
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.methods.worker", work.to_json()],
        stdout=subprocess.PIPE,
        stderr=messages,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


def _next_rows(process: subprocess.Popen[str], timeout: float) -> tuple[str | None, bool]:
    """The next line of rows, None if the process ends without; and whether it was in time."""
    late = Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = Timer(timeout, stop)
    timer.start()
    assert process.stdout is not None
    # Methods may print: rows are the lines that are lists.
    line = next((text for text in process.stdout if text.startswith("[")), None)
    timer.cancel()
    return line, not late.is_set()


def _ended(process: subprocess.Popen[str], messages: IO[str]) -> str:
    ended = f"the process ended with code {process.wait()}"
    messages.seek(0)
    lines = messages.read().strip().splitlines()
    return f"{ended}: {lines[-1]}" if lines else ended
