"""Folders of images: complete or not there, and the originals as they were."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.export import EXPORTS, export_folders
from headlight.export.image_files import safe_name
from headlight.images.digits import DigitsSource
from headlight.review.log import rename
from headlight.review.review import review
from headlight.runs import Run
from tests.explore.handmade import handmade_run
from tests.export.conftest import EXPECTED, OUTLIER

PATHS = ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg", "dogs/3.jpg"]


def save(folder: Path, *paths: str) -> Path:
    """Files with their own name as content: an export never looks into files."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    photos = save(tmp_path / "photos", *PATHS)
    return handmade_run(tmp_path / "run", photos, {"cat/like": PATHS[:3], "dogs": PATHS[3:]})


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): (
            file.read_bytes(),
            file.stat().st_mtime_ns,
            file.stat().st_mode,
        )
        for file in files
    }


def contents(folder: Path) -> dict[str, set[bytes]]:
    return {sub.name: {file.read_bytes() for file in sub.iterdir()} for sub in folder.iterdir()}


def nothing_left(folder: Path) -> bool:
    return sorted(child.name for child in folder.iterdir()) == ["photos", "run"]


def test_images_are_hard_links_and_the_originals_unchanged(run: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / PATHS[0]).chmod(0o400)
    before = snapshot(photos)
    report = EXPORTS["folders"](run, tmp_path / "deep" / "er" / "out")
    assert (report.exported, report.linked, report.copied, report.missing) == (4, 4, 0, [])
    assert snapshot(photos) == before
    assert contents(report.path) == {
        "cat_like": {path.encode() for path in PATHS[:3]},
        "dogs": {PATHS[3].encode()},
    }
    original = photos / "dogs/3.jpg"
    assert (report.path / "dogs" / "3.jpg").samefile(original)
    assert original.stat().st_nlink == 2


def test_new_folder_has_ordinary_permissions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ordinary").mkdir()
    report = export_folders(run, tmp_path / "out")
    assert report.path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("link", ["auto", "copy"])
def test_same_name_from_two_folders_keeps_both(run: Run, tmp_path: Path, link: Any) -> None:
    out = export_folders(run, tmp_path / "out", link=link).path / "cat_like"
    names = sorted(file.name for file in out.iterdir())
    assert len(names) == 3
    assert names[::2] == ["1.jpg", "2.jpg"]
    assert re.fullmatch("1~[0-9a-f]{8}.jpg", names[1])


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_copies_where_links_cannot_be_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_link(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_link)
    report = export_folders(run, tmp_path / "out")
    assert (report.exported, report.linked, report.copied) == (4, 0, 4)
    original, copy = tmp_path / "photos/dogs/3.jpg", report.path / "dogs/3.jpg"
    assert not copy.samefile(original)
    assert copy.read_bytes() == original.read_bytes()
    assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns


def test_copies_when_asked_to(run: Run, tmp_path: Path) -> None:
    report = export_folders(run, tmp_path / "out", link="copy")
    assert (report.linked, report.copied) == (0, 4)
    with (report.path / "dogs/3.jpg").open("ab") as file:
        file.write(b"changed")
    assert (tmp_path / "photos/dogs/3.jpg").read_bytes() == b"dogs/3.jpg"


@pytest.mark.parametrize("link", ["auto", "copy"])
def test_a_linked_original_is_exported_as_the_file_it_means(tmp_path: Path, link: Any) -> None:
    photos = save(tmp_path / "photos", "a.jpg")
    (photos / "link.jpg").symlink_to("a.jpg")
    run = handmade_run(tmp_path / "run", photos, {"a": ["link.jpg"], "b": ["a.jpg"]})
    out = export_folders(run, tmp_path / "out", link=link).path / "a" / "link.jpg"
    assert not out.is_symlink()
    assert out.read_bytes() == b"a.jpg"
    assert (photos / "link.jpg").readlink() == Path("a.jpg")


def test_images_that_are_gone_are_reported_and_the_rest_exported(run: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / PATHS[1]).unlink()
    (photos / PATHS[3]).unlink()
    os.mkfifo(photos / PATHS[3])  # opening it would wait for ever
    report = export_folders(run, tmp_path / "out")
    assert (report.exported, report.linked) == (2, 2)
    assert [path for path, _ in report.missing] == [PATHS[1], PATHS[3]]
    assert [why for _, why in report.missing] == [
        "gone: no such file or directory",
        "not a regular file any more",
    ]


def test_nothing_is_made_when_every_image_is_gone(run: Run, tmp_path: Path) -> None:
    for path in PATHS:
        (tmp_path / "photos" / path).unlink()
    with pytest.raises(HeadlightError, match="no image of .* could be exported"):
        export_folders(run, tmp_path / "out")
    assert nothing_left(tmp_path)
    shutil.rmtree(tmp_path / "photos")
    del run.__dict__["source"]
    with pytest.raises(HeadlightError, match="are gone"):
        export_folders(run, tmp_path / "out")


def test_an_empty_destination_is_used_and_any_other_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert export_folders(run, tmp_path / "empty").exported == 4
    before = snapshot(tmp_path / "empty")
    with pytest.raises(HeadlightError, match="not empty"):
        export_folders(run, tmp_path / "empty")
    assert snapshot(tmp_path / "empty") == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(HeadlightError, match="is a file"):
        export_folders(run, tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HeadlightError, match="is a link"):
        export_folders(run, tmp_path / "link")


@pytest.mark.parametrize("kind", ["folders", "csv", "parquet"])
@pytest.mark.parametrize("place", ["photos/out", "photos/cats/out", "run/out", "run/../run/out"])
def test_exports_stay_out_of_the_images_and_the_run(
    run: Run, tmp_path: Path, kind: str, place: str
) -> None:
    with pytest.raises(HeadlightError, match="lies inside"):
        EXPORTS[kind](run, tmp_path / place)
    assert not (tmp_path / place).exists()


def test_full_disk_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.link, []

    def link(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(HeadlightError, match="no space left on device; nothing was left there"):
        export_folders(run, tmp_path / "new" / "out")
    assert nothing_left(tmp_path)
    assert (tmp_path / "photos" / PATHS[0]).stat().st_nlink == 1


def test_interrupted_export_leaves_nothing(run: Run, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 4
        assert not (tmp_path / "out").exists()
        if done == 3:
            raise KeyboardInterrupt

    before = snapshot(tmp_path / "photos")
    with pytest.raises(KeyboardInterrupt):
        export_folders(run, tmp_path / "out", progress=interrupt)
    assert nothing_left(tmp_path)
    assert snapshot(tmp_path / "photos") == before


KILLED = """
import os, signal, sys
from pathlib import Path
from headlight.export import export_folders
from headlight.runs import load_run
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
export_folders(load_run(sys.argv[1]), Path(sys.argv[2]), progress=kill)
"""


@pytest.fixture(scope="module")
def abandoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an export has left that was killed in the middle."""
    folder = tmp_path_factory.mktemp("killed")
    clusters = {"cat": PATHS[:3], "dogs": PATHS[3:]}
    run = handmade_run(folder / "run", save(folder / "photos", *PATHS), clusters)
    subprocess.run([sys.executable, "-c", KILLED, run.path, folder / "out"], check=False)
    (left,) = folder.glob(".headlight-export-*")
    assert list(left.rglob("*.jpg"))
    return left


@pytest.fixture
def killed(abandoned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(abandoned, tmp_path / abandoned.name))


@pytest.mark.parametrize("kind", ["folders", "csv"])
def test_what_a_killed_export_left_is_deleted_by_the_next(
    run: Run, tmp_path: Path, killed: Path, kind: str
) -> None:
    before = snapshot(tmp_path / "photos")
    EXPORTS[kind](run, tmp_path / "out")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["out", "photos", "run"]
    assert snapshot(tmp_path / "photos") == before


def test_an_export_leaves_others_and_the_users_own_folders_alone(
    run: Run, tmp_path: Path, killed: Path
) -> None:
    (killed / "mine.txt").write_text("put here by a person")
    (tmp_path / ".headlight-export-notes").mkdir()
    (tmp_path / ".headlight-export-link").symlink_to(killed)

    def another(done: int, total: int) -> None:
        if done == 2:
            export_folders(run, tmp_path / "second")

    assert export_folders(run, tmp_path / "first", progress=another).exported == 4
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    left = {child.name for child in tmp_path.glob(".headlight-export-*")}
    assert left == {killed.name, ".headlight-export-notes", ".headlight-export-link"}
    assert (killed / "mine.txt").exists()


def test_images_without_files_get_the_extension_of_their_format(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.conftest import draw

    draw("disc", 0).save(tmp_path / "0.jpg")
    draw("disc", 1).save(tmp_path / "1.png")
    data = [(tmp_path / name).read_bytes() for name in ("0.jpg", "1.png")] + [b"what is this"]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"image": data}), tmp_path / "data" / "x.parquet")
    names = [*(f"x.parquet#{i}" for i in range(3)), "gone.parquet#0"]
    run = handmade_run(tmp_path / "run", tmp_path / "data", {"a": names, "b": []})
    report = export_folders(run, tmp_path / "out")
    assert (report.copied, report.linked) == (3, 0)
    assert [path for path, _ in report.missing] == ["gone.parquet#0"]
    assert {file.name: file.read_bytes() for file in (report.path / "a").iterdir()} == {
        "x.parquet#0.jpg": data[0],
        "x.parquet#1.png": data[1],
        "x.parquet#2.bin": data[2],
    }


def test_digits_are_written_as_the_png_files_they_are_named(tmp_path: Path) -> None:
    run = handmade_run(tmp_path / "run", "digits", {"a": ["digits/0007.png"], "b": []})
    report = export_folders(run, tmp_path / "out")
    data = (report.path / "a" / "0007.png").read_bytes()
    assert data == DigitsSource().read("digits/0007.png", 10**6)


LETTERS = st.text(alphabet="aAéÉ~.\\ \n日:", min_size=1, max_size=12)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("xyz"), LETTERS), unique=True, min_size=1, max_size=12),
    st.booleans(),
)
def test_distinct_images_never_overwrite_each_other(
    files: list[tuple[str, str]], copy: bool
) -> None:
    files = [(folder, name) for folder, name in files if name.strip(".")]
    if not files:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = [f"{sub}/{name}" for sub, name in files]
        photos = save(root / "photos", *paths)
        run = handmade_run(root / "run", photos, {"../one": paths, "b": []})
        report = export_folders(run, root / "out", link="copy" if copy else "auto")
        assert report.missing == []
        assert contents(root / "out") == {"___one": {path.encode() for path in paths}}
        assert {child.name for child in root.iterdir()} == {"photos", "run", "out"}


def test_folders_are_those_of_the_edited_result(edited: Run, tmp_path: Path) -> None:
    out = export_folders(edited, tmp_path / "out").path
    photos = tmp_path / "photos"
    expected = EXPECTED | {"outliers": {OUTLIER}}
    assert contents(out) == {
        safe_name(name): {(photos / path).read_bytes() for path in paths}
        for name, paths in expected.items()
    }


def test_a_cluster_called_outliers_keeps_its_name(edited: Run, tmp_path: Path) -> None:
    review(edited).edit(rename(2, "Outliers"))
    out = export_folders(edited, tmp_path / "out").path
    assert len(list((out / "Outliers").iterdir())) == 2
    assert [file.name for file in (out / "outliers-2").iterdir()] == [Path(OUTLIER).name]
