"""All commands, in the order in which ``--help`` lists them."""

from __future__ import annotations

# Importing a module registers its commands.
from headlight.cli import clustering  # noqa: F401

from headlight.cli import looking  # noqa: F401  # isort: skip
from headlight.cli import editing  # noqa: F401  # isort: skip
from headlight.cli import fits  # noqa: F401  # isort: skip
from headlight.cli import comparing  # noqa: F401  # isort: skip
from headlight.cli.command import app

__all__ = ["app"]
