"""What every export keeps to, whatever its format."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.export import EXPORTS, export_run
from headlight.export.result import unique_names
from headlight.runs import Run
from tests.explore.handmade import handmade_run
from tests.export.conftest import CLUSTERS, save_photos

LAID_OUT = ["folders", "imagefolder", "coco", "yolo", "fiftyone", "label-studio"]
FILES = ["csv", "parquet", "json"]


def images_in(folder: Path) -> list[Path]:
    named = {".json", ".jsonl", ".csv", ".xml"}
    return [f for f in folder.rglob("*") if f.is_file() and f.suffix not in named]


@pytest.mark.parametrize("kind", LAID_OUT)
def test_images_are_links_to_the_originals_unless_copies_are_asked_for(
    edited: Run, tmp_path: Path, kind: str
) -> None:
    total = sum(len(paths) for paths in CLUSTERS.values()) - (kind == "yolo")  # the outlier
    report = export_run(edited, kind, tmp_path / "links")
    assert (report.exported, report.linked, report.missing) == (total, total, [])
    assert len(images_in(report.path)) == total
    assert all(file.stat().st_nlink == 2 for file in images_in(report.path))
    report = export_run(edited, kind, tmp_path / "copies", link="copy")
    assert (report.exported, report.copied) == (total, total)
    assert all(file.stat().st_nlink == 1 for file in images_in(report.path))


@pytest.mark.parametrize("kind", LAID_OUT)
def test_images_kept_in_parquet_are_written_as_files(
    edited: Run, tmp_path: Path, kind: str
) -> None:
    photos = tmp_path / "photos"
    data = [(photos / path).read_bytes() for paths in CLUSTERS.values() for path in paths]
    (tmp_path / "data").mkdir()
    table = pa.table({"image": [{"bytes": one, "path": None} for one in data]})
    pq.write_table(table, tmp_path / "data" / "x.parquet", row_group_size=3)
    names = [f"x.parquet#{i}" for i in range(len(data))]
    run = handmade_run(tmp_path / "second", tmp_path / "data", {"a": names[:6], "b": names[6:]})
    report = export_run(run, kind, tmp_path / "out")
    assert (report.exported, report.copied) == (len(data), len(data))
    files = images_in(tmp_path / "out")
    assert sorted(file.read_bytes() for file in files) == sorted(data)
    assert {f.suffix for f in files} == {".jpg", ".png", ".webp", ".gif", ".bmp"}


@pytest.mark.parametrize("kind", LAID_OUT)
def test_images_that_are_gone_are_listed_and_the_rest_exported(
    edited: Run, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "photos/cats/1.jpg").unlink()
    (tmp_path / "photos/dogs/1.jpg").unlink()
    whole = export_run(edited, kind, tmp_path / "out")
    assert [path for path, _ in whole.missing] == ["cats/1.jpg", "dogs/1.jpg"]
    assert all("gone" in why for _, why in whole.missing)
    assert len(images_in(whole.path)) == whole.exported


@pytest.mark.parametrize("kind", LAID_OUT)
def test_an_interrupted_export_leaves_nothing(edited: Run, tmp_path: Path, kind: str) -> None:
    def interrupt(done: int, total: int) -> None:
        assert not (tmp_path / "out").exists()
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_run(edited, kind, tmp_path / "out", progress=interrupt)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["photos", "run"]
    assert all(f.stat().st_nlink == 1 for f in images_in(tmp_path / "photos"))


@pytest.mark.parametrize("kind", LAID_OUT)
def test_a_full_disk_leaves_nothing_and_is_said(
    edited: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(HeadlightError, match="no space left on device; nothing was left there"):
        export_run(edited, kind, tmp_path / "new" / "out")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["photos", "run"]


@pytest.mark.parametrize("kind", LAID_OUT)
def test_nothing_is_made_when_the_images_are_gone(edited: Run, tmp_path: Path, kind: str) -> None:
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(HeadlightError, match="are gone"):
        export_run(edited, kind, tmp_path / "out")
    assert [child.name for child in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("kind", list(EXPORTS))
@pytest.mark.parametrize("place", ["photos/out", "run/out"])
def test_exports_stay_out_of_the_images_and_the_run(
    edited: Run, tmp_path: Path, kind: str, place: str
) -> None:
    with pytest.raises(HeadlightError, match="lies inside"):
        export_run(edited, kind, tmp_path / place)
    assert not (tmp_path / place).exists()


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_what_is_there_is_never_replaced(edited: Run, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    with pytest.raises(HeadlightError, match=r"exists already|is a file"):
        export_run(edited, kind, mine)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("kind", LAID_OUT + FILES)
def test_two_images_are_enough(tmp_path: Path, kind: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    from tests.conftest import draw

    for name in ("a.png", "b.png"):
        draw("disc", 0).save(photos / name)
    run = handmade_run(tmp_path / "run", photos, {"a": ["a.png"], "b": ["b.png"]})
    assert export_run(run, kind, tmp_path / "out").exported == 2


def test_an_unknown_format_and_a_foreign_option_are_refused(edited: Run, tmp_path: Path) -> None:
    with pytest.raises(HeadlightError, match="give one of folders, csv"):
        export_run(edited, "xml", tmp_path / "out")
    with pytest.raises(HeadlightError, match=r"val goes with --to yolo, not coco"):
        export_run(edited, "coco", tmp_path / "out", val=0.3)
    with pytest.raises(HeadlightError, match=r"--copy goes with --to folders, .*, not csv"):
        export_run(edited, "csv", tmp_path / "out", link="copy")
    with pytest.raises(HeadlightError, match="give auto or copy"):
        export_run(edited, "coco", tmp_path / "out", link="symbolic")
    assert not (tmp_path / "out").exists()


def test_options_left_out_and_progress_suit_every_format(edited: Run, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export_run(edited, "csv", tmp_path / "out.csv", link=None, progress=lambda *a: told.append(a))
    export_run(edited, "coco", tmp_path / "out", val=None, progress=lambda *a: told.append(a))
    assert told == [(i + 1, 11) for i in range(11)]


def test_a_run_without_clusters_is_refused(edited: Run, tmp_path: Path) -> None:
    edited.info = edited.info.model_copy(update={"fit": None})
    for kind in EXPORTS:
        with pytest.raises(HeadlightError, match="no clusters yet"):
            export_run(edited, kind, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@settings(max_examples=12, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
        | st.sampled_from(["train", "val", "a", "a (2)", "outliers", "..", "con", "x" * 200]),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_any_names_of_clusters_come_through_every_format(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    base = tmp_path_factory.mktemp("names")
    paths = {name: [f"{k}-{i}.png" for i in range(2)] for k, name in enumerate(names)}
    save_photos(base / "photos", [path for some in paths.values() for path in some])
    run = handmade_run(base / "run", base / "photos", paths)
    expected = len(names)
    for kind in LAID_OUT:
        assert export_run(run, kind, base / kind).exported == 2 * expected
    assert len(list((base / "folders").iterdir())) == expected
    for split in ("train", "val"):
        assert len(list((base / "yolo" / split).iterdir())) == expected
    given = [name or f"cluster-{k}" for k, name in enumerate(names)]
    coco = json.loads((base / "coco" / "annotations.json").read_text())
    assert [category["name"] for category in coco["categories"]] == given
    assert json.loads((base / "fiftyone" / "labels.json").read_text())["classes"] == given
    lines = (base / "imagefolder" / "train" / "metadata.jsonl").read_text().splitlines()
    assert {json.loads(line)["label"] for line in lines} == set(given)
    tasks = json.loads((base / "label-studio" / "tasks.json").read_text())
    results = [task["predictions"][0]["result"][0] for task in tasks]
    assert len({result["value"]["choices"][0] for result in results}) == expected
    table = pq.read_table(export_run(run, "parquet", base / "out.parquet").path)
    assert set(table["name"].to_pylist()) == set(given)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "a (2)", "a (3)", ""]) | st.text(max_size=3)))
def test_repeated_names_are_told_apart_and_no_other_is_touched(names: list[str]) -> None:
    made = list(unique_names(dict(enumerate(names))).values())
    assert len(set(made)) == len(made)
    seen: set[str] = set()
    for before, after in zip(names, made, strict=True):
        assert (after == before) == (before not in seen)
        seen.add(before)
