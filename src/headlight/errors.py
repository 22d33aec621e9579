"""The one exception that carries a sentence for the user."""


class HeadlightError(Exception):
    """Something the user can mend: what is wrong, which file, what to do, in one sentence.

    The command line prints it and exits with 1; a traceback is shown with ``--debug`` only.
    """
