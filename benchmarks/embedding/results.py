"""The file of results: one section a part, each replaced when its part is measured again."""

from __future__ import annotations

import re
from pathlib import Path

from headlight.runs.files import atomic

HEADING = """# Embedding

`python -m benchmarks.embedding`. Ratios are of runs taken in turn, in one process: machines are
shared. Cores' time, where it is given, hardly depends on what else the machine does.
"""


def update(file: Path, title: str, text: str) -> None:
    """Puts a section into the file, in the place of one of the same title if there is one.

    Arguments:
        file: Markdown; made if it isn't there.
        title: of the section.
        text: what stands below it.
    """
    old = file.read_text("utf-8") if file.exists() else HEADING
    head, *rest = re.split(r"^## ", old, flags=re.MULTILINE)
    sections = dict(section.split("\n", 1) for section in rest)
    sections[title] = text
    parts = [head, *(f"## {name}\n\n{body.strip()}" for name, body in sections.items())]
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic(file) as temporary:
        temporary.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")
