"""COCO's JSON, read back by pycocotools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headlight.export import export_coco
from headlight.runs import Run
from tests.export.conftest import EXPECTED, OUTLIER


def test_pycocotools_finds_images_of_each_category(edited: Run, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="COCO export (pip install -e '.[dev]')")
    out = export_coco(edited, tmp_path / "out").path
    read = coco.COCO(str(out / "annotations.json"))
    groups = {}
    for category in read.loadCats(read.getCatIds()):
        images = read.loadImgs(read.getImgIds(catIds=[category["id"]]))
        groups[category["name"]] = {image["path"] for image in images}
    assert groups == EXPECTED
    assert len(read.getImgIds()) == 11


def test_annotations_follow_the_published_schema(edited: Run, tmp_path: Path) -> None:
    out = export_coco(edited, tmp_path / "out").path
    assert sorted(child.name for child in out.iterdir()) == ["annotations.json", "images"]
    read: dict[str, Any] = json.loads((out / "annotations.json").read_text("utf-8"))
    images = {image["id"]: image for image in read["images"]}
    categories = {category["id"] for category in read["categories"]}
    assert len(images) == len(read["images"]) == 11
    assert min(categories) == 1
    ids = [annotation["id"] for annotation in read["annotations"]]
    assert ids == list(range(1, 11))
    for image in images.values():
        with Image.open(out / "images" / image["file_name"]) as file:
            assert file.size == (image["width"], image["height"])
    for annotation in read["annotations"]:
        image = images[annotation["image_id"]]
        assert annotation["category_id"] in categories
        assert annotation["bbox"] == [0, 0, image["width"], image["height"]]
        assert annotation["area"] == image["width"] * image["height"]
        assert annotation["iscrowd"] == 0
        assert 0 < annotation["score"] <= 1
    without = set(images) - {annotation["image_id"] for annotation in read["annotations"]}
    assert [images[i]["path"] for i in without] == [OUTLIER]


def test_an_image_without_a_size_is_listed_as_missing(edited: Run, tmp_path: Path) -> None:
    (tmp_path / "photos/dogs/1.jpg").write_bytes(b"no image any more")
    report = export_coco(edited, tmp_path / "out")
    assert report.missing == [("dogs/1.jpg", "its size can't be read")]
    assert (report.exported, report.linked) == (10, 10)
    read = json.loads((report.path / "annotations.json").read_text("utf-8"))
    assert "dogs/1.jpg" not in {image["path"] for image in read["images"]}
    assert len(list((report.path / "images").iterdir())) == 10
