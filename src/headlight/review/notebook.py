"""How a run shows itself in a notebook: figures, and for each cluster a strip of typical images."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from headlight.counts import counted
from headlight.errors import HeadlightError
from headlight.evaluation import SCORES
from headlight.images import ImageSource
from headlight.images.thumbnail import Thumbnail, encoded, make_thumbnail, square
from headlight.review.evaluating import known_scores
from headlight.review.review import review

if TYPE_CHECKING:
    from headlight.runs.run import Run

OPEN, LISTED = 20, 100  # clusters shown at once, and in all
STRIP, SHORT_STRIP = 8, 2  # images of a cluster shown at once, and of one folded away
SIDE = 64  # pixels of a picture
MOST_BYTES = 900_000  # of all pictures
LONGEST = 80  # letters of a name
QUALITY = 70  # of JPEG
WORKERS = 4
# A notebook may be light or dark, whatever the system is: grey shows on both.
LINE = "border-top:1px solid rgba(128,128,128,.3)"
PICTURE = f"width:{SIDE}px;height:{SIDE}px;object-fit:cover;margin:0 2px 0 0;display:inline-block"
EMPTY = f"{PICTURE};background:rgba(128,128,128,.2);vertical-align:top"


def run_html(run: Run) -> str:
    """The run as HTML, below 1 MB, without scripts; edits are applied.

    Arguments:
        run: fitted or not; one that is damaged shows what is wrong with it.

    Returns:
        HTML; every text from outside is escaped.
    """
    parts = ['<div style="font-family:sans-serif;font-size:.9em;margin:.4em 0">']
    try:
        parts += _contents(run)
    except HeadlightError as error:
        parts.append(f"<p><b>{escape(str(run.path))}</b>: {escape(str(error))}</p>")
    return "".join([*parts, "</div>"])


def _contents(run: Run) -> Iterable[str]:
    source, fit = run.info.source, run.info.fit
    title = PurePath(source.uri).name or source.uri
    parts = [f'<div style="font-size:1.2em"><b>{escape(title)}</b></div>']
    figures = [counted(source.images, "image"), f"encoder {escape(run.info.encoder.name)}"]
    if not fit:
        figures.append(f"no clusters yet: <code>headlight fit {escape(str(run.path))}</code>")
        return [*parts, f"<div>{' · '.join(figures)}</div>"]
    reviewed = review(run)
    rows = [row for row in reviewed.clusters().to_pylist() if row["size"]]
    rows.sort(key=lambda row: (-row["size"], row["cluster"]))
    scores = known_scores(reviewed)
    figures.insert(1, counted(len(rows), "cluster"))
    as_fitted = " as fitted" if reviewed.n_edits else ""
    figures.append(f"mean confidence {fit.mean_confidence:.2f}{as_fitted}")
    figures += [f"{name} {scores[key]:.3f}" for key, name in SCORES.items() if key in scores]
    if reviewed.n_edits:
        done = counted(len(reviewed.done), "cluster")
        figures.append(f"{counted(reviewed.n_edits, 'edit')}, {done} done")
    parts.append(f"<div>{' · '.join(figures)}</div>")
    shown = rows[:LISTED]
    strips = [
        row["prototypes"][: STRIP if i < OPEN else SHORT_STRIP] for i, row in enumerate(shown)
    ]
    pictures = _pictures(run, [path for strip in strips for path in strip])
    cards = [_card(row, strip, pictures) for row, strip in zip(shown, strips, strict=True)]
    parts += cards[:OPEN]
    if len(rows) > OPEN:
        more = f"<p>The {LISTED} largest are shown.</p>" if len(rows) > LISTED else ""
        parts.append(f"<details><summary>{counted(len(rows) - OPEN, 'more cluster')}</summary>")
        parts.append(f"{''.join(cards[OPEN:])}{more}</details>")
    return parts


def _card(row: dict[str, Any], strip: list[str], pictures: dict[str, str]) -> str:
    name = row["name"] if len(row["name"]) <= LONGEST else row["name"][: LONGEST - 1] + "…"
    said = [counted(row["size"], "image")]
    if row["mean_confidence"] is not None:
        said.append(f"confidence {row['mean_confidence']:.2f}")
    if row.get("quality") is not None:
        said.append(f"quality {row['quality']:.2f}")
    if row["done"]:
        said.append("done")
    images = "".join(pictures[path] for path in strip)
    return (
        f'<div style="{LINE};padding:.3em 0"><b>{escape(name)}</b> '
        f'<span style="opacity:.7">{" · ".join(said)}</span><div>{images}</div></div>'
    )


def _pictures(run: Run, paths: list[str]) -> dict[str, str]:
    """Path → an element that shows the image, or says that it has gone."""
    try:
        source: ImageSource | None = run.source
    except (HeadlightError, OSError):
        source = None

    def made(path: str) -> Thumbnail:
        return make_thumbnail(
            source, path, SIDE, lambda image: encoded(square(image, SIDE), "JPEG", quality=QUALITY)
        )

    with ThreadPoolExecutor(WORKERS) as pool:
        thumbnails = list(pool.map(made, paths))
    left = MOST_BYTES
    found = {}
    for path, thumbnail in zip(paths, thumbnails, strict=True):
        name, uri = escape(path[-LONGEST:]), thumbnail.uri
        left -= len(uri)
        if uri and left > 0:
            style = PICTURE + (";image-rendering:pixelated" if thumbnail.tiny else "")
            found[path] = f'<img src="{uri}" alt="{name}" title="{name}" style="{style}">'
        else:
            label = f'role="img" aria-label="{name}" title="{name}"'
            found[path] = f'<span {label} style="{EMPTY}"></span>'
    return found
