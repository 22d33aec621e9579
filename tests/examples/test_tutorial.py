"""The tutorial notebook runs from the first cell to the last, and says what its text claims."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebook (pip install -e '.[dev]')")
nbclient = pytest.importorskip("nbclient", reason="the notebook (pip install -e '.[dev]')")
pytest.importorskip("ipykernel", reason="the notebook (pip install -e '.[dev]')")
pytest.importorskip("onnxruntime", reason="ONNX export (pip install 'headlight-images[export]')")

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def executed(folder: Path) -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def results(notebook: Any, beginning: str) -> list[Any]:
    """What the cell that has a line with this beginning shows."""
    for cell in notebook.cells:
        lines = cell.source.splitlines()
        if cell.cell_type == "code" and any(line.startswith(beginning) for line in lines):
            return cell.outputs
    raise AssertionError(f"no cell has {beginning!r}")


def value(notebook: Any, beginning: str) -> Any:
    (output,) = (o for o in results(notebook, beginning) if o.output_type == "execute_result")
    return ast.literal_eval(output.data["text/plain"])


def test_no_cell_fails_or_complains(executed: Any) -> None:
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


def test_a_run_shows_itself(executed: Any) -> None:
    for beginning, said in (
        ("run = headlight.cluster", "1,797 images · 10 clusters"),
        ("now = review", "9 clusters · encoder lite0"),
    ):
        (output,) = results(executed, beginning)
        assert said in output.data["text/html"]


def test_new_images_are_labelled_as_the_ones_they_were_made_of(executed: Any) -> None:
    assigned, none, unusable, said = value(executed, "found = predict_run")
    assert (assigned + none, unusable, said) == (20, 0, "as fitted: 10 groups")
    assert none <= 3  # a digit moved by a pixel may be unlike all others
    first = value(executed, "import pyarrow.parquet")
    assert [row["path"] for row in first][:2] == ["00-shows-0.png", "01-shows-1.png"]
    model = value(executed, "model = export_run")
    merged = {9: 8}  # by then, in the notebook
    assert model["cluster"] == merged.get(first[0]["cluster"], first[0]["cluster"])


def test_edits_are_made_taken_back_and_brought_back(executed: Any, folder: Path) -> None:
    assert value(executed, "now.undo()") == (0, 2)
    assert value(executed, "now.redo()") == (2, 3)
    lines = (folder / "tutorial-files/digits.headlight/edits.jsonl").read_text("utf-8").splitlines()
    kinds = [json.loads(line)["edit"] for line in lines]
    assert kinds == ["rename", "merge", "outlier", "undo", "redo"]


def test_everything_made_lies_in_the_one_folder(executed: Any, folder: Path) -> None:
    assert [child.name for child in folder.iterdir()] == ["tutorial-files"]
    taken = folder / "tutorial-files" / "taken"
    assert (taken / "folders" / "looked at").is_dir()
    assert len(list((taken / "folders" / "outliers").iterdir())) == 2
    assert (taken / "model" / "model.onnx").is_file()
    outputs = results(executed, "import shutil")
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "imagefolder: 1,797 images, 0 missing" in printed


def test_scores_are_those_the_project_reports(executed: Any) -> None:
    """.880; .908 with float32 features, .915 with bfloat16."""
    pixels, features = value(executed, "from headlight.evaluation")
    assert pixels["acc"] > 0.86
    assert features["acc"] > 0.89
