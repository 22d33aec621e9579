"""The command line: parse, call, print."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["main"]

STOPPED = "stopped; run the same command again to resume"


class _Signals:
    """SIGINT and SIGTERM: the first unwinds the command, any later one ends the process at once.

    Nothing is lost by that: whatever headlight writes survives a kill at any moment.
    """

    def __init__(self) -> None:
        self._first = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            # A signal that is ignored (`nohup`, a background job of a script) stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)
                # Runs last: at its very end Python would restore the default, death by signal.
                atexit.register(signal.signal, number, signal.SIG_IGN)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._first:
            cursor = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar has hidden it
            os.write(2, f"{cursor}\nheadlight: {STOPPED}\n".encode())
            os._exit(128 + self._first)
        self._first = number
        raise KeyboardInterrupt

    def finish(self, code: int) -> int:
        """The exit code; from now on a signal ends the process with it, without a traceback."""
        code = 128 + self._first if self._first and code else code
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) == self._stop:
                signal.signal(number, lambda *_: os._exit(code))
        return code


def _show_warning(
    usual: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    *where: Any,
) -> None:
    """Our own warnings as sentences, without the place in the source and its text."""
    from pathlib import Path

    if Path(filename).is_relative_to(Path(__file__).parents[1]):
        print(f"headlight: {message}", file=sys.stderr)
    else:
        usual(message, category, filename, *where)


def main() -> None:
    """Entry point of the command ``headlight``."""
    signals = _Signals()  # before anything that takes time to import
    # Read once, when PyTorch first loads OpenMP: idle threads shall sleep, not spin. Training is
    # thousands of short parallel loops; on two cores with other work to do, spinning threads waited
    # for one another's turn: 750 ms a step instead of 39. A value the user has set stays.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    code: Any = 0
    try:
        from headlight.cli.commands import app

        # Remarks on single files: what counts ends in the quarantine, with its reason.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
        app(prog_name="headlight")
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        print(f"headlight: {STOPPED}", file=sys.stderr)
        code = 130
    sys.exit(signals.finish(code if isinstance(code, int) else int(code is not None)))
