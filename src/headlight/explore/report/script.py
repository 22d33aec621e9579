"""The modules of ``static`` joined into one script that a page can hold inside itself."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[\w.]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
MODULES = ("picker.js", "points.js", "map.js", "report.js")


def static_text(name: str) -> str:
    """The text of one of the pages' own files, the report's or those shared with the app."""
    own = files("headlight.explore.report") / "static" / name
    shared = files("headlight.explore") / "static" / name
    return (own if own.is_file() else shared).read_text("utf-8")


def joined(*modules: str) -> str:
    """The modules one after the other as one, without imports and exports."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", static_text(name))) for name in modules)


def report_script() -> tuple[str, str]:
    """The report's script, and the source expression that lets a browser run it and no other.

    Returns:
        The modules one after the other, without imports and exports; ``'sha256-…'`` for a
        Content-Security-Policy.
    """
    # The page's own text around it counts too.
    text = f"\n{joined(*MODULES)}"
    digest = hashlib.sha256(text.encode()).digest()
    return text, f"'sha256-{base64.b64encode(digest).decode()}'"
