"""The commands of docs/tutorial.md, as they are written there."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headlight.cli.commands import app
from tests.conftest import draw, make_photos

pytest.importorskip("starlette", reason="the review app (pip install 'headlight-images[explore]')")
pandas = pytest.importorskip("pandas", reason="the tutorial (pip install -e '.[dev]')")

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"(?:^    .*\n)+", TEXT, re.MULTILINE)


def labels(folder: Path, file: Path) -> None:
    rows = [(path.relative_to(folder), path.parent.name) for path in folder.rglob("*.png")]
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("path", "label"), *rows])


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_run) -> Path:
    """A user with photos, new photos and labels; the demo has run."""
    make_photos(tmp_path / "photos", per_kind=20)
    for kind in ("disc", "noise"):
        (tmp_path / "new-photos" / kind).mkdir(parents=True)
        draw(kind, 99).save(tmp_path / "new-photos" / kind / "x.png")
    labels(tmp_path / "photos", tmp_path / "labels.csv")
    labels(tmp_path / "new-photos", tmp_path / "new-labels.csv")
    shutil.copytree(digits_run.path, tmp_path / "digits.headlight")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BROWSER", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explore(*arguments: str) -> None:
    """Starts the app, and stops it by Ctrl-C once it is there."""
    # A shell that runs the tests in the background has them, and all they start, ignore SIGINT.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from headlight.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(50) in (0, 130)
    assert "http://127." in line


def test_the_tutorial_can_be_followed_to_the_letter(at_home: Path) -> None:
    run = []
    for line in (line.strip() for block in BLOCKS for line in block.splitlines()):
        if not line.startswith("headlight "):
            continue
        _, name, *arguments = (
            str(at_home / word[2:]) if word.startswith("~/") else word
            for word in shlex.split(line, comments=True)
        )
        run.append(name)
        if name == "explore":
            explore(name, *arguments)
        else:
            result = CliRunner().invoke(app, [name, *arguments])
            assert result.exit_code == 0, (line, result.stderr, result.exception)
            if name == "evaluate" and "photos.headlight" in arguments:
                assert "ACC" in result.stdout
    assert set(run) == {"demo", "cluster", "explore", "export", "fit", "predict", "evaluate"}
    assert sum(path.is_file() for path in (at_home / "sorted").rglob("*")) == 60
    assert sum(path.is_file() for path in (at_home / "photos").rglob("*")) == 60


def test_its_python_runs_on_the_run_it_speaks_of(
    at_home: Path, fitted_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted_copy.rename(at_home / "photos.headlight")
    (snippet,) = (block for block in BLOCKS if "import " in block)
    space: dict = {}
    exec("\n".join(line.strip() for line in snippet.splitlines()), space)
    assert len(space["table"]) == 36
