"""``headlight predict`` on the screen, and in a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from typer.testing import CliRunner

from headlight.cli.commands import app
from headlight.review import Review
from headlight.review.log import merge, move, rename
from headlight.runs import load_run
from tests.conftest import rewrite_info


@pytest.mark.parametrize("file", [None, "p.csv", "p.parquet"])
def test_predictions_are_shown_whether_or_not_they_are_written(
    fitted, photos: Path, tmp_path: Path, file: str | None
) -> None:
    (photos / "disc" / "[bold]broken.png").write_bytes(b"no image")
    out = ["-o", str(tmp_path / file)] if file else []
    done = CliRunner().invoke(app, ["predict", str(fitted.path), str(photos / "disc"), *out])
    assert done.exit_code == 0, done.output
    assert "[bold]broken.png" in done.stdout
    assert "11.png" in done.stdout
    assert "12 images assigned" in done.stdout
    assert "1 unusable" in done.stderr
    assert "model as fitted: 3 groups" in done.stderr
    assert (f"in {tmp_path / file}" if file else "-o FILE.csv") in done.stdout
    again = CliRunner().invoke(
        app, ["predict", str(fitted.path), str(photos / "disc"), *out, "--json"]
    )
    assert json.loads(again.stdout) == {
        "out": out[1] if file else None,
        "images": 12,
        "none": 0,
        "unusable": 1,
        "model": {
            "reviewed": False,
            "groups": 3,
            "agreement": 1.0,
            "by_hand": 0,
            "agreement_by_hand": 1.0,
        },
    }


def test_reviewed_groups_are_printed_by_name_and_the_model_is_told_of(
    fitted_copy: Path, photos: Path, tmp_path: Path
) -> None:
    now = Review(load_run(fitted_copy))
    disc = int(now.labels[now.run.assignments["path"].to_pylist().index("disc/00.png")])
    others = [group for group in range(3) if group != disc]
    now.edit(merge(others, others[0]))
    now.edit(rename(others[0], "=patterns"))
    now.edit(move({5: np.flatnonzero(now.labels == disc)[:5]}, {5: "[b]few"}))
    out = tmp_path / "p.csv"
    command = ["predict", str(fitted_copy), str(photos), "-o", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "model as reviewed: 3 groups, agrees with " in done.stderr
    assert "% of the images and 100 % of those placed" in done.stderr
    shown = [line.split()[1] for line in done.stdout.splitlines() if ".png" in line]
    # The model need not agree with every image that nobody placed.
    assert sum(name in {f"cluster-{disc}", "[b]few"} for name in shown[:12]) >= 11
    assert sum(name != "'=patterns" for name in shown[12:]) <= 1  # as in the CSV
    table = pyarrow.csv.read_csv(out).to_pylist()
    assert {row["name"] for row in table} == {f"cluster-{disc}", "[b]few", "'=patterns"}
    assert {row["cluster"] for row in table} == {disc, 5, others[0]}
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["model"]
    assert told.pop("agreement") >= 0.95
    assert told == {"reviewed": True, "groups": 3, "by_hand": 5, "agreement_by_hand": 1.0}


def test_another_engine_than_the_runs_is_said_in_one_sentence(
    fitted_copy: Path, photos: Path
) -> None:
    rewrite_info(fitted_copy, lambda info: info["encoder"].update(engine="other-f8"))
    command = [sys.executable, "-m", "headlight", "predict", str(fitted_copy), str(photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    own = ("predict: ", "model as fitted")
    lines = [line for line in done.stderr.splitlines() if not line.startswith(own)]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("headlight: the features of the run were computed by other-f8")


def test_warnings_of_others_keep_their_place_in_the_source() -> None:
    code = (
        "import warnings; from headlight.cli import main; import headlight.cli.commands as c;"
        "c.app = lambda **_: warnings.warn_explicit('odd', UserWarning, '/elsewhere/x.py', 7);"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "/elsewhere/x.py:7: UserWarning: odd\n"
