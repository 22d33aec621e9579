"""The command as a user types it; in a process of its own where that is what is tested."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headlight.cli.commands import app
from headlight.counts import span
from headlight.features import FeatureStore
from headlight.runs import load_run
from tests.conftest import draw


def headlight(*arguments: object, cwd: Path, code: int = 0) -> Result:
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (done.stderr, done.exception)
    return done


def sentence(done: Result) -> str:
    """The one line that says what is wrong."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("headlight: ")]
    assert len(lines) == 1, done.stderr
    return lines[0].removeprefix("headlight: ")


def test_from_folder_to_clusters_labels_predictions_and_files(photos: Path, tmp_path: Path) -> None:
    done = headlight("cluster", photos, "-k", 3, "--views", 1, cwd=tmp_path)
    run = tmp_path / "photos.headlight"
    assert "36 images in 3 clusters" in done.stdout
    assert f"report: {run / 'report.html'}" in done.stdout
    assert "36 new" in done.stderr
    assert (run / "report.html").stat().st_size > 1000

    again = headlight("cluster", photos, "-k", 3, "--views", 1, "--json", cwd=tmp_path)
    result = json.loads(again.stdout)
    assert "36 already embedded" in again.stderr
    assert [c["size"] for c in result["clusters"]] == [12, 12, 12]

    scores = headlight("evaluate", run, "--labels", "folder", cwd=tmp_path)
    assert "ACC 1.0000  NMI 1.0000  ARI 1.0000" in scores.stdout

    headlight("predict", run, photos / "disc", "-o", "p.csv", cwd=tmp_path)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + 12

    headlight("export", run, "--to", "folders", "sorted", cwd=tmp_path)
    folders = sorted(p.name for p in (tmp_path / "sorted").iterdir())
    assert folders == ["cluster-0", "cluster-1", "cluster-2"]
    assert sum(1 for _ in photos.rglob("*.png")) == 36
    for to in ("csv", "parquet"):
        headlight("export", run, "--to", to, f"out.{to}", cwd=tmp_path)

    headlight("fit", run, "-k", 2, cwd=tmp_path)
    assert len(load_run(run).clusters) == 2
    headlight("report", run, cwd=tmp_path)


def test_without_k_the_number_of_clusters_is_found(photos: Path, tmp_path: Path) -> None:
    result = json.loads(headlight("cluster", photos, "--views", 1, "--json", cwd=tmp_path).stdout)
    fit = result["fit"]
    low, high = fit["n_clusters_range"]
    assert fit["asked"] == "auto"
    assert low <= 3 <= high
    assert low <= fit["n_clusters"] == len(result["clusters"]) <= high
    assert fit["n_clusters_levels"][0] == fit["n_clusters"]
    scores = dict(fit["n_clusters_curve"])
    assert max(scores, key=lambda k: scores[k]) == fit["n_clusters"]
    again = headlight("cluster", photos, "--views", 1, cwd=tmp_path)
    assert f"(-k auto; {span(low, high)} likely)" in again.stdout
    if others := fit["n_clusters_levels"][1:]:
        assert f"-k {others[0]}" in again.stdout
    page = (tmp_path / "photos.headlight" / "report.html").read_text("utf-8")
    assert f"auto: {fit['n_clusters']} found, {span(low, high)} likely" in page
    refused = headlight("cluster", photos, "-k", 3, "--views", 1, cwd=tmp_path, code=1)
    assert "-k auto, not 3" in sentence(refused)
    headlight("cluster", photos, "-k", "many", cwd=tmp_path, code=2)


def test_encoders_are_listed(tmp_path: Path) -> None:
    assert "lite0" in headlight("encoders", cwd=tmp_path).stdout
    listed = json.loads(headlight("encoders", "--json", cwd=tmp_path).stdout)
    lite0 = {"name": "lite0", "dim": 1280, "input_size": 224, "usable": True}
    assert any(lite0.items() <= one.items() for one in listed["encoders"])


def test_mistakes_get_one_sentence_and_exit_1(fitted, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jpg").write_text("no image")
    (tmp_path / "file").write_text("")
    run = fitted.path
    for arguments, expected in [
        (["cluster", "nowhere", "-k", 3], "nowhere: no such folder or file"),
        (["cluster", "empty", "-k", 3], "no images in"),
        (["cluster", "texts", "-k", 2], "1 image: clustering needs at least 2"),
        (["cluster", "texts"], "1 image: clustering needs at least 2"),
        (["embed", "texts"], "no usable image in"),
        (["cluster", photos, "-k", 1], "-k 1: give 2 clusters or more"),
        (["cluster", photos, "-k", 37], "36 images for 37 clusters: give a smaller -k"),
        (["cluster", photos, "-k", 3, "--encoder", "lite9"], "nearest: lite"),
        (["cluster", photos, "-k", 3, "--views", -1], "give 0 or more"),
        (["cluster", photos, "-k", 3, "--device", "tpu"], "unknown device"),
        (["cluster", photos, "-k", 3, "-o", "file"], "is a file, not a run folder"),
        (["cluster", photos, "-k", 3, "-o", photos], "is not a run of headlight"),
        (["cluster", photos, "-k", 3, "-o", "/proc/x.headlight"], "can't be read or written"),
        (["cluster", fitted.source.uri, "-k", 4, "--views", 1, "-o", run], "-k 3, not 4"),
        (["cluster", photos, "-k", 3, "--views", 1, "-o", run], "choose another -o"),
        (["fit", "nowhere", "-k", 3], "no such run folder"),
        (["evaluate", run, "--labels", "gone.csv"], "no such file"),
        (["export", run, "--to", "folders", photos], "photos"),
        (["predict", run, photos, "-o", "p.txt"], "must end in .parquet or .csv"),
        (["predict", run, "empty", "-o", "p.csv"], "no images in"),
    ]:
        before = sorted(photos.rglob("*"))
        message = sentence(headlight(*arguments, cwd=tmp_path, code=1))
        assert expected in message, arguments
        assert sorted(photos.rglob("*")) == before


def test_wrong_usage_is_exit_2_and_debug_shows_the_traceback(tmp_path: Path) -> None:
    headlight("cluster", "x", "--no-such-option", cwd=tmp_path, code=2)
    headlight("cluster", "x", "--recipe", "best", cwd=tmp_path, code=2)
    headlight("export", "x", "--to", "zip", "out", cwd=tmp_path, code=2)
    command = [sys.executable, "-m", "headlight", "cluster", "nowhere", "-k", "3", "--debug"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_help_and_import_load_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, headlight, headlight.cli;"
        "heavy = {'torch', 'numpy', 'openvino', 'lance', 'pyarrow', 'sklearn', 'PIL', 'faiss'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or not mount:
        pytest.skip("a full disk (needs root, to mount a small one)")
    size = ["-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run([mount, "-t", "tmpfs", *size], capture_output=True).returncode:
        pytest.skip("a full disk (no tmpfs can be mounted here)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_said_and_nothing_half_written_looks_whole(
    photos: Path, small_disk: Path, tmp_path: Path
) -> None:
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    run = small_disk / "r.headlight"
    arguments = ("cluster", photos, "-k", 3, "--views", 1, "-o", run)
    assert "disk is full" in sentence(headlight(*arguments, cwd=tmp_path, code=1))
    assert not (run / "run.json").exists()
    filler.unlink()
    headlight(*arguments, cwd=tmp_path)
    assert load_run(run).info.source.images == 36


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_embedding_and_the_same_command_resumes(
    tmp_path: Path, number: int, exit_code: int
) -> None:
    # A shell that runs the tests in the background has them, and all they start, ignore SIGINT.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from headlight.cli import main; main()"
    arguments = ["embed", "digits", "--encoder", "lite0@32", "--views", "0"]
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    store = tmp_path / "digits.headlight" / "features.lance"
    deadline = time.monotonic() + 120
    while not (store.exists() and len(FeatureStore.open(store))) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == exit_code, err
    assert err.endswith("headlight: stopped; run the same command again to resume\n")
    assert "Traceback" not in err
    done = headlight(*arguments, cwd=tmp_path)
    assert "already embedded" in done.stderr
    assert "1,797 images embedded" in done.stdout


@pytest.mark.parametrize("given", [None, "active"])
def test_idle_threads_sleep_unless_the_user_says_otherwise(
    fitted_copy: Path, given: str | None
) -> None:
    environment = os.environ | {"OMP_DISPLAY_ENV": "VERBOSE"}
    environment.pop("OMP_WAIT_POLICY", None)
    environment |= {"OMP_WAIT_POLICY": given} if given else {}
    command = [sys.executable, "-m", "headlight", "evaluate", fitted_copy, "--labels", "folder"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    spins = set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr))
    if not spins:
        pytest.skip("this OpenMP does not show its settings")
    assert (spins == {"0"}) == (given is None)


def test_piping_into_head_is_no_error(fitted_copy: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m headlight evaluate {fitted_copy} --labels folder | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]x"
    folder.mkdir()
    for i in range(4):
        draw("disc" if i % 2 else "stripes", i).save(folder / f"[red]{i}.png")
    done = headlight("cluster", folder, "-k", 2, "--views", 0, cwd=tmp_path)
    assert "[red]" in done.stdout
    assert "[bold]x.headlight" in done.stdout
