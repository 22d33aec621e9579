"""Turns functions into commands: their group in the help, and one sentence for every error."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer

from headlight.cli import STOPPED
from headlight.errors import HeadlightError, reason

app = typer.Typer(
    name="headlight",
    help="Cluster a folder of images, no labels needed; then review, correct and export.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  headlight demo  or  headlight cluster ~/photos",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headlight {version('headlight-images')}")
        raise typer.Exit


@app.callback()
def _program(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def examples_shown(*examples: str) -> str:
    """The end of a command's help."""
    return "\n".join(("Examples:", *(f"  headlight {line}" for line in examples)))


def command(
    group: str, *examples: str, to: typer.Typer = app
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command; its errors become one sentence and an exit code.

    Arguments:
        group: its heading in the help of all commands.
        examples: command lines shown at the end of its help.
        to: the program, or the command it is a part of.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
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

        shown = examples_shown(*examples)
        name = function.__name__.replace("_", "-")
        to.command(name=name, rich_help_panel=group, epilog=shown)(run)
        return run

    return register


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, HeadlightError):
        return str(error)
    # Lance reports the operating system's errors in other classes, as text.
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return (
            f"the disk is full{where}: free some space, then run the same command again to resume"
        )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'} can't be read or written: {reason(error)}"
    text = " ".join(str(error).split())[:300]
    return (
        f"unexpected {type(error).__name__}: {text} (--debug shows the traceback; please report it)"
    )
