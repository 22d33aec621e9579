"""FiftyOne's import format, read by the rules its documentation gives.

FiftyOne itself is not installed: it brings a database server. The rules: ``data/`` is searched
recursively; an image is known by its path there without extension; ``labels`` maps that to null or
to an object whose ``label`` is a place in ``classes``, with optional confidence and attributes.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from headlight.export import export_fiftyone
from headlight.runs import Run
from tests.export.conftest import EXPECTED, OUTLIER


def test_each_label_finds_its_image_and_each_image_its_label(edited: Run, tmp_path: Path) -> None:
    out = export_fiftyone(edited, tmp_path / "out").path
    read = json.loads((out / "labels.json").read_text("utf-8"))
    assert set(read) == {"classes", "labels"}
    found = [f for f in (out / "data").rglob("*") if f.is_file()]
    data = {file.relative_to(out / "data").with_suffix("").as_posix(): file for file in found}
    assert len(data) == len(found) == 11  # no two differ by extension alone
    assert set(data) == set(read["labels"])
    groups: dict[str, set[str]] = {}
    for uuid, label in read["labels"].items():
        if label is None:
            assert data[uuid].samefile(tmp_path / "photos" / OUTLIER)
            continue
        assert set(label) == {"label", "confidence", "attributes"}
        assert 0 < label["confidence"] <= 1
        path = label["attributes"]["path"]
        assert data[uuid].samefile(tmp_path / "photos" / path)
        groups.setdefault(read["classes"][label["label"]], set()).add(path)
        with Image.open(data[uuid]) as image:
            image.load()
    assert groups == EXPECTED
