"""The review app: a local web server that shows a run and takes a person's corrections."""

from headlight.explore.app.server import explore

__all__ = ["explore"]
