"""``report.html``: one self-contained file that shows a run to a person."""

from __future__ import annotations

import json
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headlight.errors import HeadlightError, reason
from headlight.explore.report.contents import contents_of
from headlight.explore.report.map_points import map_data
from headlight.explore.report.script import report_script, static_text
from headlight.explore.report.thumbnails import make_thumbnails, shrunk
from headlight.features import Progress
from headlight.images import ImageSource
from headlight.runs import Run
from headlight.runs.files import atomic

PICTURES = 8_000_000  # characters of all thumbnails in the file at most
LABELLED_BARS = 24  # with more clusters than this the bars are too slim for a picture and a number


def write_report(
    run: Run, path: str | os.PathLike[str] | None = None, progress: Progress | None = None
) -> Path:
    """Write the report of a run: one HTML file, images inside, that opens without a network.

    Images that have gone or can't be read any more become placeholders that say so.

    Arguments:
        run: fitted.
        path: the file, replaced if it is there; ``RUN/report.html`` if left out.
        progress: called with the number of images drawn and their total.

    Returns:
        The file.

    Raises:
        HeadlightError: the run is not fitted or damaged, or the file can't be written.
    """
    target = run.path / "report.html" if path is None else Path(path)
    if target.is_dir():
        raise HeadlightError(f"{target} is a folder: give the name of a file for the report")
    html = _render(run, progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic(target) as temporary:
            temporary.write_bytes(html.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise HeadlightError(f"the report can't be written to {target}: {reason(error)}") from error
    return target


def _render(run: Run, progress: Progress | None) -> str:
    contents = contents_of(run)
    source = _source(run)
    sheet = contents.points.sheet
    thumbnails = shrunk(make_thumbnails(source, contents.paths(), progress, sheet), PICTURES)
    script, allowed = report_script()
    environment = Environment(
        loader=PackageLoader("headlight.explore.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        c=contents,
        thumbnails=thumbnails,
        unseen=sum(not thumbnails[path].uri for path in set(contents.paths())),
        source_gone=source is None,
        labelled=len(contents.cards) <= LABELLED_BARS,
        compact=bool(contents.cards) and max(len(card.typical) for card in contents.cards) < 4,
        map_json=_json(map_data(contents.points, contents.clusters)),
        theme=static_text("theme.css"),
        script=script,
        names=contents.names,
        colours=contents.colours,
        sizes={row["cluster"]: row["size"] for row in contents.clusters},
        cells={(cell.row, cell.column): cell for cell in contents.truth.cells}
        if contents.truth and contents.truth.numbers
        else {},
        allowed=allowed,
    )


def _json(value: object) -> Markup:
    """JSON that can stand inside a script element: no tag or comment can begin in it."""
    text = json.dumps(value, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - nothing is left in it that means anything to HTML


def _source(run: Run) -> ImageSource | None:
    try:
        return run.source
    except (HeadlightError, OSError):
        return None
