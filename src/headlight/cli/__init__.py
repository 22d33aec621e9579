"""The command line: parse, call, print."""

from __future__ import annotations

import warnings

# Importing a module registers its commands, in the order that --help lists them.
from headlight.cli import clustering  # noqa: F401

from headlight.cli import looking  # noqa: F401  # isort: skip
from headlight.cli import comparing  # noqa: F401  # isort: skip
from headlight.cli.command import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the command ``headlight``."""
    # Remarks on single files: what counts ends in the quarantine, with its reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    app()
