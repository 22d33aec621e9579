"""Images made on the spot, and a real run of them that many tests read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image, ImageDraw

from headlight.clustering import Features
from headlight.clustering.constants import views_used
from headlight.images import open_source
from headlight.review import Review, groups_model
from headlight.runs import Run, embed_run, fit_run
from tests.stores import Store, s3_store

KINDS = ("disc", "stripes", "noise")


def draw(kind: str, seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A picture of one of three kinds that any encoder tells apart."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    image = Image.new("RGB", size, tuple(rng.integers(200, 256, 3).tolist()))
    pen = ImageDraw.Draw(image)
    colour = tuple(rng.integers(0, 120, 3).tolist())
    if kind == "disc":
        x, y, r = rng.integers(30, 60), rng.integers(25, 50), rng.integers(15, 25)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    else:
        for x in range(int(rng.integers(0, 8)), size[0], 12):
            pen.rectangle((x, 0, x + 5, size[1]), fill=colour)
    return image


def make_photos(folder: Path, per_kind: int = 12) -> Path:
    """A folder with a subfolder for each kind."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for i in range(per_kind):
            draw(kind, i).save(folder / kind / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted models go into a cache of the tests' own, also those of commands they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def store() -> Iterator[Store]:
    with s3_store() as bucket:
        yield bucket


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


def all_views(features: Features) -> np.ndarray:
    """Features (n, 1 + views, dim), of which all rows have views or none."""
    if features.views is None:
        return features.plain[:, None]
    assert len(features.viewed) == len(features)
    return np.concatenate([features.plain[:, None], features.views], axis=1)


def contents(folder: Path) -> dict[str, bytes]:
    """A hash of every file, locks aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "lock" not in path.name
    }


def rewrite_info(run: Path, change: Callable[[dict], None]) -> None:
    """Changes ``run.json`` by hand, as a user may: without its checksum."""
    file = run / "run.json"
    info = json.loads(file.read_text("utf-8"))
    info.pop("checksum", None)
    change(info)
    file.write_text(json.dumps(info), "utf-8")


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run of 36 pictures, 3 clusters. Read it only; `fitted_copy` is for writing."""
    folder = tmp_path_factory.mktemp("fitted")
    source = open_source(make_photos(folder / "photos"))
    run, _ = embed_run(source, folder / "photos.headlight", views=1, device="cpu")
    run = fit_run(run, 3, device="cpu")
    groups_model(Review(run))  # kept in the run when it is first needed
    before = contents(folder)
    yield run
    assert contents(folder) == before, "a test has written to the run that all tests read"


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of `headlight demo`, embedded once for all workers. Read it only."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / "digits.headlight"
    with FileLock(folder / "digits.lock"):
        run, _ = embed_run(open_source("digits"), path, views=2, view_images=views_used("robust"))
        return run if "fit" in run.info else fit_run(run, 10)


@pytest.fixture
def fitted_copy(fitted: Run, tmp_path: Path) -> Path:
    """Path of a run that a test may change."""
    return Path(shutil.copytree(fitted.path, tmp_path / "copy.headlight"))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end what was not tested here; the reasons of skips read ``what (how to)``."""
    skipped = terminalreporter.stats.get("skipped", [])
    if what := {report.longrepr[2].removeprefix("Skipped: ") for report in skipped}:
        terminalreporter.section("not tested here")
        for line in sorted(what, key=str.lower):
            terminalreporter.line(line)
