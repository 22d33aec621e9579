"""What makes a function a command: its place in the program, and one sentence for every error."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from headlight.errors import HeadlightError

app = typer.Typer(
    name="headlight",
    help="Groups of unlabelled images: frozen features, and a small head trained on pairs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Registers a command; what goes wrong in it becomes one sentence and an exit code."""

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        try:
            function(**arguments)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            if arguments.get("debug"):
                raise
            if isinstance(error, BrokenPipeError):  # `headlight … | head`: nobody listens
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            typer.echo(f"headlight: {_sentence(error)}", err=True)
            raise typer.Exit(130 if isinstance(error, KeyboardInterrupt) else 1) from None

    app.command(name=function.__name__.strip("_").replace("_", "-"))(run)
    return run


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "stopped; the same command again goes on from here"
    if isinstance(error, HeadlightError):
        return str(error)
    # Lance reports the operating system's errors in other classes, as text.
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return f"the disk is full{where}: free some space, then the same command again goes on"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} can't be read or written: {error.strerror.lower()}"
    text = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {text} (--debug shows where; please report it)"
