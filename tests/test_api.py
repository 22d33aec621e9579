"""What `from headlight import …` gives, used as the README shows it."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headlight
from headlight.images import open_source
from headlight.pipeline import default_run
from headlight.review import predict_run
from headlight.review.log import rename
from headlight.review.review import review
from headlight.runs.info import SourceInfo
from tests.conftest import make_photos

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_everything_promised_is_there() -> None:
    assert set(headlight.__all__) <= set(dir(headlight))
    for name in headlight.__all__:
        assert getattr(headlight, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'SPC'"):
        headlight.SPC  # noqa: B018


def test_importing_it_changes_nothing_of_the_process() -> None:
    code = (
        "import os; before = dict(os.environ);"
        "import headlight; print(before == dict(os.environ));"
        "[getattr(headlight, name) for name in headlight.__all__];"
        "print('OMP_WAIT_POLICY' in os.environ)"  # others add variables of their own
    )
    environment = {key: os.environ[key] for key in os.environ if key != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\nFalse\n"


def test_features_and_head_in_four_lines(photos: Path) -> None:
    (photos / "broken.png").write_bytes(b"not an image")
    features, paths = headlight.embed(photos, views=2, device="cpu", return_paths=True)
    assert features.plain.shape == (36, 1280)
    assert features.views.shape == (36, 2, 1280)
    assert features.plain.dtype == np.float16
    assert "broken.png" not in paths
    scp = headlight.SCP(n_clusters=3, random_state=0).fit(features)
    kinds = {path.split("/")[0]: scp.labels_[i] for i, path in enumerate(paths)}
    assert len(set(kinds.values())) == 3
    assert (scp.predict(features.plain[:5]) == scp.labels_[:5]).all()


@pytest.mark.parametrize("view_images", [None, 20])
def test_embedding_and_fitting_give_the_clusters_of_the_command(
    photos: Path, tmp_path: Path, view_images: int | None
) -> None:
    settings = {"views": 1, "view_images": view_images, "device": "cpu"}
    run = headlight.cluster(photos, 3, out=tmp_path / "p.headlight", **settings)
    features, paths = headlight.embed(photos, return_paths=True, **settings)
    scp = headlight.SCP(n_clusters=3, random_state=0).fit(features)
    table = run.assignments
    assert dict(zip(paths, scp.labels_.tolist(), strict=True)) == dict(
        zip(table["path"].to_pylist(), table["cluster"].to_pylist(), strict=True)
    )
    assert abs(len(features.viewed) - (view_images or 36)) <= (8 if view_images else 0)


def test_features_kept_with_out_are_those_returned(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.headlight"
    features = headlight.embed(photos, views=0, device="cpu", out=out)
    assert features.views is None
    kept = headlight.load_run(out).features.load(by_content=True)[1]
    assert (kept.plain == features.plain).all()


def test_cluster_leaves_a_run_with_a_report(photos: Path, tmp_path: Path) -> None:
    run = headlight.cluster(photos, 3, out=tmp_path / "p.headlight", views=0, device="cpu")
    assert sorted(run.clusters["size"].to_pylist()) == [12, 12, 12]
    assert (run.path / "report.html").exists()
    assert "3 clusters" in repr(run)


def test_cluster_again_resumes_and_other_settings_are_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"out": tmp_path / "p.headlight", "views": 0, "device": "cpu"}
    first = headlight.cluster(photos, 3, **settings).assignments
    seen = []
    again = headlight.cluster(photos, 3, **settings, on_embedded=seen.append)
    assert (seen[0].kept, seen[0].added) == (36, 0)
    assert again.assignments.equals(first)
    for lost in ("features.lance", "quarantine.parquet"):  # the same command makes them again
        path = again.path / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert headlight.cluster(photos, 3, **settings).assignments.equals(first)
    review(again).edit(rename(0, "mine"))
    (photos / "notes.txt").write_text("no image")
    with monkeypatch.context() as patch:  # nothing has changed: nothing is fitted
        patch.setattr("headlight.pipeline.fit_again", None)
        edited = headlight.cluster(photos, 3, **settings)
    assert review(edited).names[0] == "mine"
    assert "mine" in (edited.path / "report.html").read_text("utf-8")
    shutil.copy(photos / "disc" / "00.png", photos / "disc" / "new.png")
    headlight.embed(photos, **settings)
    assert len(headlight.cluster(photos, 3, **settings).assignments) == 37
    assert review(headlight.load_run(edited.path)).names[0] == "mine"
    with pytest.raises(headlight.HeadlightError, match=r"-k 3, not 4.*headlight fit"):
        headlight.cluster(photos, 4, **settings)
    kept = headlight.load_run(settings["out"])
    assert [p for p in kept.paths if p != "disc/new.png"] == first["path"].to_pylist()


def test_a_run_kept_among_the_images_does_not_cluster_itself(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", per_kind=3)
    inside = photos / "result.headlight"
    for _ in range(2):
        run = headlight.cluster(photos, 3, out=inside, views=0, device="cpu")
        assert run.info.source == SourceInfo(uri=str(photos), images=9, quarantined=0)


def test_run_is_named_after_its_source(tmp_path: Path) -> None:
    from headlight.images import open_source

    assert default_run(open_source(tmp_path)) == Path(f"{tmp_path.name}.headlight")
    assert default_run(open_source("digits")) == Path("digits.headlight")
    with pytest.raises(headlight.HeadlightError, match="give -o"):
        default_run(open_source("/"))


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_examples_run(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize(("recipe", "images"), [("robust", 4000), ("paper", None)])
def test_the_papers_recipe_gets_views_of_all_images(photos, tmp_path, recipe, images) -> None:
    run = headlight.cluster(
        photos, 3, out=tmp_path / "run", encoder="lite0@32", views=1, recipe=recipe
    )
    assert run.info.encoder.view_images == images


def test_a_run_keeps_the_arithmetic_it_was_asked_for_and_predicts_in_it(
    photos: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    run = headlight.cluster(photos, 3, out=tmp_path / "run", views=0, precision="f32")
    assert run.info.encoder.engine.endswith("-f32")
    assert run.info.encoder.precision == "f32"
    predict_run(run, open_source(photos), tmp_path / "new.csv")
    assert not [one for one in recwarn if "rounding differs" in str(one.message)]
