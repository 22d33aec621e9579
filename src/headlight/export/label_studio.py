"""Label Studio: tasks with the clusters as pre-annotations, and the labelling set-up for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from headlight.errors import HeadlightError
from headlight.export.destination import ExportReport, new_folder
from headlight.export.image_files import Link
from headlight.export.layout import Layout
from headlight.export.result import OUTLIERS, Result, unique_names
from headlight.export.streaming import open_text, rounded, write_array
from headlight.features import Progress
from headlight.runs import Run

MARKED = -1  # stands for the outliers among the clusters' numbers
CONTROL, OBJECT = "cluster", "image"
LOCAL = "/data/local-files/?d="  # what Label Studio serves of its document root


def export_label_studio(
    run: Run,
    dest: Path,
    link: Link = "auto",
    prefix: str = LOCAL,
    progress: Progress | None = None,
) -> ExportReport:
    """Write ``tasks.json``, ``config.xml`` and ``images/``.

    A task is an image with one prediction: its cluster, as a choice, with the confidence as score.
    Images marked as outliers have the choice ``outliers``. Label Studio shows the images if it
    serves ``dest`` as its local document root; if they are served from elsewhere, give the address
    as ``prefix``.

    Arguments:
        run: fitted.
        dest: folder to create; an existing one must be empty.
        link: ``auto``: hard links to the originals where possible; ``copy``.
        prefix: what comes before ``images/NAME`` in an image's address.
        progress: called with the number of images done and their total.

    Returns:
        What was done; missing images are listed.

    Raises:
        HeadlightError: as `export_folders`; or a ``prefix`` with characters no address has.
    """
    if not prefix.isascii() or not prefix.isprintable():
        raise HeadlightError(f"prefix {prefix!r}: give an address of plain ASCII letters")
    with new_folder(run, dest) as root:
        layout = Layout(run, link, progress=progress)
        images = root / "images"
        images.mkdir()
        choices = choice_names(layout.result)
        (root / "config.xml").write_text(configuration(list(choices.values())), "utf-8")
        with open_text(root / "tasks.json") as stream:
            version = f"headlight-{run.fit.id}"
            write_array(stream, _tasks(layout, images, choices, version, prefix))
    return layout.report(dest)


def choice_names(result: Result) -> dict[int, str]:
    """Cluster, or −1 for the outliers, → the choice that stands for it."""
    names = {cluster: _printable(name) for cluster, name in result.names.items()}
    if any(result.table["outlier"].to_pylist()):
        names[MARKED] = OUTLIERS
    return unique_names(names)


def configuration(choices: list[str]) -> str:
    """The labelling set-up: an image, and one of the choices for it.

    Arguments:
        choices: names that XML can hold.

    Returns:
        XML.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=OBJECT, value=f"${OBJECT}", zoom="true")
    several = {"name": CONTROL, "toName": OBJECT, "choice": "single", "showInline": "true"}
    control = ElementTree.SubElement(view, "Choices", several)
    for choice in choices:
        ElementTree.SubElement(control, "Choice", value=choice)
    ElementTree.indent(view)
    return ElementTree.tostring(view, "unicode") + "\n"


def _tasks(
    layout: Layout, images: Path, choices: dict[int, str], version: str, prefix: str
) -> Iterator[dict[str, Any]]:
    for number, (row, file) in enumerate(layout.place(lambda row: images), 1):
        choice = choices[MARKED if row.outlier else row.cluster]
        result = {
            "id": f"headlight-{number}",
            "from_name": CONTROL,
            "to_name": OBJECT,
            "type": "choices",
            "value": {"choices": [choice]},
        }
        address = prefix + quote(f"{images.name}/{file.name}")
        yield {
            "data": {OBJECT: address, "path": row.path, "cluster": row.cluster},
            "predictions": [
                {"model_version": version, "score": rounded(row.confidence), "result": [result]}
            ],
        }


def _printable(name: str) -> str:
    """The name without what XML can't hold."""
    kept = "".join(c for c in name if c.isprintable() or c == " ")
    kept = "".join(c for c in kept if ord(c) not in (0xFFFE, 0xFFFF))
    return " ".join(kept.split()) or "_"
