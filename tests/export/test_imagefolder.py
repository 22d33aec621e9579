"""Read back by Hugging Face ``datasets`` itself."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from headlight.errors import HeadlightError
from headlight.export import export_imagefolder
from headlight.runs import Run
from tests.export.conftest import EXPECTED, OUTLIER


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library asks its hub about usage and modules unless told not to."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


def load(folder: Path, cache: Path) -> Any:
    datasets = pytest.importorskip(
        "datasets", reason="imagefolder export (pip install -e '.[dev]')"
    )
    datasets.disable_progress_bars()
    return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(cache))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("metadata", ["jsonl", "csv"])
def test_datasets_loads_every_image_with_its_cluster(
    edited: Run, tmp_path: Path, metadata: Any
) -> None:
    # Words in names that the library takes for a split must not matter.
    report = export_imagefolder(edited, tmp_path / "test" / "out", metadata=metadata)
    read = load(report.path, tmp_path / "cache")
    assert list(read) == ["train"]
    rows = list(read["train"])
    assert len(rows) == 11
    groups: dict[str, set[str]] = {}
    for row in rows:
        if not row["outlier"]:
            groups.setdefault(row["label"], set()).add(row["path"])
    assert groups == EXPECTED
    assert [row["path"] for row in rows if row["outlier"]] == [OUTLIER]
    sizes = {row["path"]: row["image"].size for row in rows}
    assert sizes["cats/1.jpg"] == (20, 16)
    assert sizes["val/8.jpg"] == (30, 16)
    moved = next(row for row in rows if row["label"] == "new")
    assert moved["confidence"] == 1  # a person's word


def test_metadata_is_jsonl_or_csv(edited: Run, tmp_path: Path) -> None:
    with pytest.raises(HeadlightError, match="give jsonl or csv"):
        export_imagefolder(edited, tmp_path / "out", metadata="tsv")  # type: ignore[arg-type]
    out = export_imagefolder(edited, tmp_path / "out", metadata="csv").path / "train"
    with (out / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all((out / row["file_name"]).is_file() for row in rows)
    assert {row["path"] for row in rows if row["outlier"] == "True"} == {OUTLIER}
