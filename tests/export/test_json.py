"""The JSON file: run, clusters and images in one."""

from __future__ import annotations

import json
from pathlib import Path

from headlight.export import export_json
from headlight.review.review import review
from headlight.runs import Run
from tests.export.conftest import EXPECTED, OUTLIER


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_json_says_what_the_review_says(edited: Run, tmp_path: Path) -> None:
    report = export_json(edited, tmp_path / "new" / "out.json")
    assert report.exported == 11
    read = json.loads(report.path.read_text("utf-8"), parse_constant=refuse)
    assert (read["format"], read["version"], read["edits"]) == ("headlight-export", 1, 4)
    assert read["run"]["fit"] == edited.info.plain()["fit"]
    made = review(edited)
    assert read["clusters"] == made.clusters().to_pylist()
    assert [image["path"] for image in read["images"]] == edited.assignments["path"].to_pylist()
    assert [image["cluster"] for image in read["images"]] == made.labels.tolist()
    groups: dict[str, set[str]] = {}
    for image in read["images"]:
        if not image["outlier"]:
            groups.setdefault(image["name"], set()).add(image["path"])
    assert groups == EXPECTED
    assert [image["path"] for image in read["images"] if image["outlier"]] == [OUTLIER]


def test_an_image_is_a_line(edited: Run, tmp_path: Path) -> None:
    text = export_json(edited, tmp_path / "out.json").path.read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith('{"path"')]
    assert len(lines) == 11
