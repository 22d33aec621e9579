"""The distribution: its name, what is in it, and the demo run from the installed wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The distribution `headlight` on PyPI is someone else's.
OTHERS = re.compile(
    r"(?<![\w./-])headlight\\{0,2}\[[a-z]|pip install [^\n]*?(?<![\w./-])headlight(?![-\w./])"
)


def tracked() -> list[Path]:
    """Files of the repository, as a fresh clone has them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the package (needs a git checkout)")
    return [path for name in listed.stdout.split("\0") if (path := ROOT / name).is_file()]


def python(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sdist, and the wheel built from it."""
    pytest.importorskip("build", reason="the package (pip install -e '.[dev]')")
    folder = tmp_path_factory.mktemp("package")
    for path in tracked():
        copy = folder / "source" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    python("-m", "build", "--no-isolation", "-o", folder / "dist", "source", cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which finds the packages it needs in this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    python("-m", "venv", "--without-pip", folder, cwd=dist)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (wheel,) = dist.glob("*.whl")
    place = ("--target", own, "--no-deps", "--no-index", "--no-compile")
    python("-m", "pip", "install", "-q", *place, wheel, cwd=dist)
    (own / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def test_nothing_recommends_the_package_of_others() -> None:
    for wrong in ("pip install headlight", "pip install -U 'headlight[hub]'", "headlight[timm]"):
        assert OTHERS.search(wrong)
    for right in ("pip install 'headlight-images[hub]'", "pip install '.[hub]'", "src/headlight/x"):
        assert not OTHERS.search(right)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        if path.suffix not in (".png", ".parquet", ".svg") and path != Path(__file__)
        for match in OTHERS.finditer(path.read_text("utf-8", "replace"))
    ]
    assert found == []


def test_sdist_and_wheel_hold_what_they_should(dist: Path) -> None:
    pytest.importorskip("twine", reason="the package (pip install -e '.[dev]')")
    files = sorted(dist.iterdir())
    assert [path.name.split("-")[0] for path in files] == ["headlight_images"] * 2
    python("-m", "twine", "check", "--strict", *files, cwd=dist)
    wheel, sdist = sorted(files, key=lambda path: path.suffix, reverse=True)
    own = {
        path.relative_to(ROOT / "src").as_posix()
        for path in tracked()
        if path.is_relative_to(ROOT / "src")
    }
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert own <= packed
    assert {name.split("/")[0] for name in packed - own} == {
        next(name for name in packed if ".dist-info/" in name).split("/")[0]
    }
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "src/headlight/py.typed"} <= names


def test_the_installed_wheel_embeds_images_and_runs_the_demo(
    installed: Path, photos: Path, digits_run, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        command = [str(installed), "-m", "headlight", *arguments]
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [installed, "-c", "import headlight; print(headlight.__file__)"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(installed.parents[1]))
    assert run("--version").startswith("headlight ")
    photos_run = json.loads(run("cluster", str(photos), "-k", "3", "--views", "0", "--json"))
    assert [cluster["size"] for cluster in photos_run["clusters"]] == [12, 12, 12]
    shutil.copytree(digits_run.path, tmp_path / "digits.headlight")  # embedded: 40 s less
    result = json.loads(run("demo", "--json"))
    assert result["source"] == {"uri": "digits", "images": 1797, "quarantined": 0}
    assert len(result["clusters"]) == 10
    acc = re.search(r"ACC (\d\.\d+)", run("demo"))
    assert acc
    assert float(acc[1]) > 0.84
    assert Path(result["report"]).read_text("utf-8").lower().startswith("<!doctype html>")
