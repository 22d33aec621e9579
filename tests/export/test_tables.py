"""One file of assignments, for a spreadsheet or a program."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from headlight.errors import HeadlightError
from headlight.export import EXPORTS, ExportReport, export_csv, export_parquet
from headlight.runs import Run
from tests.explore.handmade import handmade_run
from tests.export.conftest import WEIRD

PATHS = ['a "quoted", name.jpg', "two\nlines.jpg", "日本語.jpg", "plain/1.jpg", "-not a formula/1"]
FORMULAS = ["=cmd|' /C calc'!A0.jpg", "+1.jpg", "-1.jpg", "@SUM(1).jpg", "\t=1.jpg", "\r=1.jpg"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    clusters = {"cats, small": PATHS[:3], "=dogs": PATHS[3:], "empty": []}
    return handmade_run(tmp_path / "run", tmp_path / "photos", clusters)


def test_csv_reads_back_in_python(run: Run, tmp_path: Path) -> None:
    report = EXPORTS["csv"](run, tmp_path / "new folder" / "out.csv")
    assert report == ExportReport(tmp_path / "new folder" / "out.csv", 5)
    with report.path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:8] == [
        "path",
        "cluster",
        "name",
        "confidence",
        "second",
        "second_name",
        "margin",
        "outlier_score",
    ]
    assert {row["path"].removeprefix("'") for row in rows} == set(PATHS)
    by_path = {row["path"]: row for row in rows}
    assert by_path["two\nlines.jpg"]["name"] == "cats, small"
    assert by_path["plain/1.jpg"]["name"] == "'=dogs"
    assert float(by_path["plain/1.jpg"]["confidence"]) == pytest.approx(0.95)


def test_csv_and_parquet_hold_the_same_numbers(run: Run, tmp_path: Path) -> None:
    one = pyarrow.csv.read_csv(
        export_csv(run, tmp_path / "out.csv").path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
    )
    other = pq.read_table(export_parquet(run, tmp_path / "out.parquet").path)
    assert one.column_names == other.column_names
    for name in ("cluster", "second"):
        assert one[name].to_pylist() == other[name].to_pylist()
    assert one["confidence"].to_pylist() == pytest.approx(other["confidence"].to_pylist())


def test_parquet_holds_every_name_as_it_is(run: Run, tmp_path: Path) -> None:
    table = pq.read_table(EXPORTS["parquet"](run, tmp_path / "out.parquet").path)
    assert table.drop_columns(["name", "second_name", "outlier"]).equals(run.assignments)
    assert not any(table["outlier"].to_pylist())
    assert dict(zip(table["path"].to_pylist(), table["name"].to_pylist(), strict=True)) == {
        **dict.fromkeys(PATHS[:3], "cats, small"),
        **dict.fromkeys(PATHS[3:], "=dogs"),
    }


def test_second_choices_are_named_unless_merged_away(edited: Run, tmp_path: Path) -> None:
    rows = pq.read_table(export_parquet(edited, tmp_path / "out.parquet").path).to_pylist()
    names = {row["second"]: row["second_name"] for row in rows}
    # Cluster 3 was merged into 1, and 0 renamed.
    assert names == {0: "cat & kitten", 1: "test", 2: WEIRD, 3: None}


def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    run = handmade_run(tmp_path / "run", tmp_path / "photos", {"a": FORMULAS, "b": ["a=1.jpg"]})
    with export_csv(run, tmp_path / "out.csv").path.open(encoding="utf-8", newline="") as file:
        cells = [row["path"] for row in csv.DictReader(file)]
    assert sorted(cells) == sorted([f"'{path}" for path in FORMULAS] + ["a=1.jpg"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_existing_file_is_never_replaced(run: Run, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / f"mine.{kind}"
    mine.write_text("mine")
    with pytest.raises(HeadlightError, match="exists already"):
        EXPORTS[kind](run, mine)
    assert mine.read_text() == "mine"
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HeadlightError, match="exists already"):
        EXPORTS[kind](run, tmp_path / "dangling")
    with pytest.raises(HeadlightError, match="is a folder"):
        EXPORTS[kind](run, tmp_path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_full_disk_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.csv.write_csv", full)
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(HeadlightError, match="no space left on device"):
        EXPORTS[kind](run, tmp_path / "out")
    assert [child.name for child in tmp_path.iterdir()] == ["run"]
