"""Moved images: `headlight relocate` changes where a run looks for them, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headlight import cluster
from headlight.cli.commands import app
from headlight.errors import HeadlightError
from headlight.features import EmbedReport
from headlight.images import open_source
from headlight.runs import Run, embed_run, load_run, relocate_run
from headlight.runs.features import features_digest, in_step
from tests.conftest import contents, draw, make_photos
from tests.runs.test_fits import edited, never, state


@pytest.fixture
def moved(fitted: Run, tmp_path: Path) -> Path:
    """The images of the run with their dates, in another place."""
    return Path(shutil.copytree(fitted.info.source.uri, tmp_path / "my photos"))


def relocate(run: Path, place: Path) -> tuple[int, int]:
    return relocate_run(run, open_source(place))


def refused(run: Path, place: Path) -> str:
    before = contents(run)
    with pytest.raises(HeadlightError, match="does not take the place of") as caught:
        relocate(run, place)
    assert contents(run) == before
    return str(caught.value)


def test_the_run_names_the_new_place_and_is_otherwise_as_before(
    fitted_copy: Path, moved: Path
) -> None:
    old = edited(fitted_copy)
    before, reviewed, features = contents(fitted_copy), state(old), old.features.load()
    assert relocate(fitted_copy, moved) == (36, 36)
    run = load_run(fitted_copy)
    assert run.source.uri == run.features.settings.source == str(moved)
    place = {"source": old.info.source.model_copy(update={"uri": str(moved)})}
    assert run.info == old.info.model_copy(update=place)
    changed = dict(contents(fitted_copy).items() - before.items())
    assert {name.split("/")[0] for name in changed} == {"run.json", "features.lance"}
    assert state(run) == reviewed
    paths, vectors = run.features.load()
    assert paths.equals(features[0])
    assert np.array_equal(vectors.plain, features[1].plain)


def test_after_it_the_run_goes_on_in_the_new_place(fitted_copy: Path, moved: Path) -> None:
    reviewed = state(edited(fitted_copy))
    relocate(fitted_copy, moved)
    assert in_step(load_run(fitted_copy), open_source(moved))
    run, report = embed_run(open_source(moved), fitted_copy, views=1, device="cpu")
    assert report == EmbedReport(kept=36)
    assert run.fit.features == features_digest(run.features)  # `cluster` fits nothing
    assert state(run) == reviewed


def test_cluster_and_embed_name_the_command(fitted_copy: Path, moved: Path) -> None:
    edited(fitted_copy)
    for file in moved.rglob("*.png"):
        os.utime(file, ns=(5, 5))
    command = f"`headlight relocate {fitted_copy} '{moved}'`"
    before = contents(fitted_copy)
    for attempt in (
        lambda: cluster(moved, 3, out=fitted_copy, views=1, device="cpu", stages=never),
        lambda: embed_run(open_source(moved), fitted_copy, views=1, device="cpu"),
    ):
        with pytest.raises(HeadlightError) as caught:
            attempt()
        assert command in str(caught.value)
    assert contents(fitted_copy) == before


def test_other_images_are_refused(fitted_copy: Path, moved: Path, tmp_path: Path) -> None:
    other = make_photos(tmp_path / "other")
    for i, file in enumerate(sorted(other.rglob("*.png"))):  # the same names
        draw("noise", 900 + i).save(file)
    assert "of 36 images of" in refused(fitted_copy, other)
    assert "0 are there" in refused(fitted_copy, moved.parent)  # the folder above
    assert "0 are there" in refused(fitted_copy, moved / "disc")


def test_half_of_the_images_must_be_there(fitted_copy: Path, moved: Path) -> None:
    files = sorted(moved.rglob("*.png"))
    for file in files[:18]:
        file.unlink()
    os.utime(files[20], ns=(9, 9))
    assert relocate(fitted_copy, moved) == (18, 36)
    draw("noise", 999).save(files[18])
    assert "17 are there" in refused(fitted_copy, moved)


def test_stopped_half_way_the_same_command_completes_it(
    fitted_copy: Path, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("headlight.runs.relocating.write_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            relocate(fitted_copy, moved)
    relocate(fitted_copy, moved)
    run = load_run(fitted_copy)
    assert run.source.uri == run.features.settings.source == str(moved)


def test_features_without_a_run_yet_are_relocated(fitted_copy: Path, moved: Path) -> None:
    """Embedding was interrupted, then the folder moved."""
    (fitted_copy / "run.json").unlink()
    relocate(fitted_copy, moved)
    run, report = embed_run(open_source(moved), fitted_copy, views=1, device="cpu")
    assert (report.kept, run.info.source.uri) == (36, str(moved))


def test_no_run_is_said(fitted: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, sentence in [(tmp_path / "none", "no such run"), (tmp_path / "empty", "no run.json")]:
        with pytest.raises(HeadlightError, match=sentence):
            relocate_run(path, fitted.source)


def test_a_parquet_file_with_features_made_elsewhere_is_relocated(
    fitted: Run, tmp_path: Path
) -> None:
    """Its images were never read, so nothing but their places in the file is known."""
    data = [(Path(fitted.source.uri) / ref.path).read_bytes() for ref in fitted.source]
    file = tmp_path / "old" / "a.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"image": pa.array(data, pa.binary())}), file)
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(36, 8)).astype(np.float32))
    embed_run(open_source(file), tmp_path / "run", encoder=f"features:{tmp_path / 'f.npy'}")
    (tmp_path / "old").rename(tmp_path / "new")
    assert relocate(tmp_path / "run", tmp_path / "new" / "a.parquet") == (36, 36)
    pq.write_table(pa.table({"image": pa.array(data[:9], pa.binary())}), tmp_path / "a.parquet")
    assert "9 are there" in refused(tmp_path / "run", tmp_path / "a.parquet")


def test_the_command_says_what_it_compared(fitted_copy: Path, moved: Path) -> None:
    done = CliRunner().invoke(app, ["relocate", str(fitted_copy), str(moved)])
    assert done.exit_code == 0, done.output
    assert "36 of 36 compared are the same" in done.stdout
    done = CliRunner().invoke(app, ["relocate", str(fitted_copy), str(moved), "--json"])
    assert json.loads(done.stdout) == {
        "run": str(fitted_copy),
        "source": str(moved),
        "same": 36,
        "compared": 36,
    }
