"""A run that a person has edited, of real image files with inconvenient names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headlight.review.log import mark_outliers, merge, move, rename
from headlight.review.review import review
from headlight.runs import Run, load_run
from tests.conftest import draw
from tests.explore.handmade import handmade_run

WEIRD = 'we<i>rd/"name", §|`'
CLUSTERS = {
    "cat": ["cats/1.jpg", "cats/2.png", "cats/test_4.jpg", "cats/odd one"],
    "test": ["dogs/1.jpg", "dogs/a#b [c]*?.png", 'dogs/x, "y" é.webp'],
    WEIRD: ["train/validation-3.gif", "train/日本.bmp"],
    "tail": ["val/9.jpg", "val/8.jpg"],
}
FORMATS = {"": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}
OUTLIER = "cats/test_4.jpg"
# What the edits make of it.
EXPECTED = {
    "cat & kitten": {"cats/1.jpg", "cats/2.png", "cats/odd one"},
    "test": {"dogs/1.jpg", 'dogs/x, "y" é.webp', "val/9.jpg", "val/8.jpg"},
    WEIRD: {"train/validation-3.gif", "train/日本.bmp"},
    "new": {"dogs/a#b [c]*?.png"},
}


def save_photos(folder: Path, paths: list[str]) -> Path:
    for i, path in enumerate(paths):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        draw("noise", i, (20 + i, 16)).save(file, FORMATS[file.suffix])
    return folder


@pytest.fixture
def edited(tmp_path: Path) -> Run:
    """Clusters renamed and merged, an image moved, one marked as outlier."""
    paths = [path for paths in CLUSTERS.values() for path in paths]
    photos = save_photos(tmp_path / "photos", paths)
    run = handmade_run(tmp_path / "run", photos, CLUSTERS)
    rows = {path: row for row, path in enumerate(run.assignments["path"].to_pylist())}
    made = review(run)
    made.edit(rename(0, "cat & kitten"))
    made.edit(merge([1, 3], into=1))
    made.edit(move({7: np.array([rows["dogs/a#b [c]*?.png"]])}, {7: "new"}))
    made.edit(mark_outliers(np.array([rows[OUTLIER]]), True))
    return load_run(run.path)
