"""``headlight predict`` on the screen, and in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headlight.cli.commands import app


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
    assert (f"in {tmp_path / file}" if file else "-o FILE.csv") in done.stdout
    again = CliRunner().invoke(
        app, ["predict", str(fitted.path), str(photos / "disc"), *out, "--json"]
    )
    assert json.loads(again.stdout) == {
        "out": out[1] if file else None,
        "images": 12,
        "unusable": 1,
    }
