"""The one exception that carries a sentence for the user."""

import re


class HeadlightError(Exception):
    """An error the user can fix: one sentence that says what is wrong, in which file, what to do.

    The command line prints it and exits with 1; a traceback is shown with ``--debug`` only.
    """


def first_line(error: BaseException) -> str:
    """The message of another library's error, short enough for one of our sentences."""
    lines = str(error).strip().splitlines() or [""]
    # Lance appends the place in its own source, on the machine that built it.
    text = re.split(r",? ?[\w/.-]*\.rs:\d+", lines[0])[0].strip(" ,:")
    return (text if text.isprintable() and text else type(error).__name__)[:200]


def one_line(error: BaseException) -> str:
    """All that an error says, where its first line says little: ``Error(s) in loading …:``."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def reason(error: OSError) -> str:
    """The operating system's reason in lower case: ``permission denied``."""
    return (error.strerror or first_line(error)).lower()
