"""YOLO's classification layout: two splits, the same classes in both, the same images each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.export import export_yolo
from headlight.export.result import Result
from headlight.export.yolo import validation_paths
from headlight.runs import Run
from tests.explore.handmade import handmade_run
from tests.export.conftest import EXPECTED, OUTLIER


def laid_out(folder: Path) -> dict[str, dict[str, set[str]]]:
    return {
        split.name: {
            cluster.name: {file.name for file in cluster.iterdir()} for cluster in split.iterdir()
        }
        for split in folder.iterdir()
    }


def test_both_splits_have_every_class_and_no_image_twice(edited: Run, tmp_path: Path) -> None:
    read = laid_out(export_yolo(edited, tmp_path / "out", val=0.3).path)
    assert set(read) == {"train", "val"}
    assert sorted(read["train"]) == sorted(read["val"])
    assert len(read["train"]) == len(EXPECTED)
    files = [file for split in read.values() for names in split.values() for file in names]
    assert len(files) == sum(len(paths) for paths in EXPECTED.values())
    assert Path(OUTLIER).name not in files
    assert len(read["val"]["test"]) == 1
    assert len(read["val"]["new"]) == 0  # its one image is for training


def test_every_file_has_the_extension_of_an_image(edited: Run, tmp_path: Path) -> None:
    out = export_yolo(edited, tmp_path / "out").path
    files = [file for file in out.rglob("*") if file.is_file()]
    assert "odd one.jpg" in {file.name for file in files}
    assert {file.suffix for file in files} <= {".jpg", ".png", ".webp", ".gif", ".bmp"}


def test_the_same_images_are_held_out_every_time(edited: Run, tmp_path: Path) -> None:
    one, two = (laid_out(export_yolo(edited, tmp_path / name).path) for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("val", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(edited: Run, tmp_path: Path, val: float) -> None:
    with pytest.raises(HeadlightError, match="give a share above 0 and below 1"):
        export_yolo(edited, tmp_path / "out", val=val)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    val=st.floats(0.01, 0.99),
)
def test_the_share_held_out_of_each_cluster_is_the_one_asked_for(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], val: float
) -> None:
    folder = tmp_path_factory.mktemp("yolo")
    clusters = {f"c{k}": [f"{k}/{i}.jpg" for i in range(n)] for k, n in enumerate(sizes)}
    run = handmade_run(folder / "run", folder / "photos", clusters)
    held_out = validation_paths(Result(run), val)
    for k, n in enumerate(sizes):
        count = sum(path.startswith(f"{k}/") for path in held_out)
        assert count == min(max(round(n * val), 1), n - 1)
        assert count < n
