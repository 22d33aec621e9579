from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headlight.errors import HeadlightError
from headlight.images import BadImage, ImageRef, ImageSource, decode, open_source
from headlight.images.folder import FolderSource
from headlight.pipeline import cluster, default_run
from tests.conftest import draw

LIMIT = 2**20


def names(folder: Path) -> list[str]:
    return [ref.path for ref in open_source(folder)]


def test_folder_is_walked_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.png", "a/1.png", "z.png", "c d/'quoted\"\n.png", "é/日本.png"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    expected = ["a/1.png", "b/10.png", "b/2.png", "c d/'quoted\"\n.png", "z.png", "é/日本.png"]
    assert names(tmp_path) == expected == names(tmp_path)


def test_hidden_files_and_runs_are_skipped(tmp_path: Path) -> None:
    for name in (".hidden.png", ".git/a.png", "out.headlight/thumb.png", "seen.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path) == ["seen.png"]


def test_files_that_claim_no_image_are_counted_and_skipped(tmp_path: Path) -> None:
    others = [
        "Thumbs.db",
        "notes.txt",
        "scan.pdf",
        "a.JSON",
        "b.tar.gz",
        "IMG_1.AAE",
        "desktop.ini",
    ]
    images = ["IMG.HEIC", "a.jpg", "clip.mov", "no ending", "odd.xyz", "x.txt.png"]
    for name in others + images:
        (tmp_path / name).write_bytes(b"x")
    source = open_source(tmp_path)
    assert [ref.path for ref in source] == sorted(images)
    assert source.others == len(others)


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """3,000 folders one in the other, 1,500 of them within the length a path may have."""
    top = tmp_path / "top"
    top.mkdir()
    handle = os.open(top, os.O_RDONLY)
    for depth in range(3_000):
        if depth == 1_500:
            os.close(os.open("a.png", os.O_WRONLY | os.O_CREAT, dir_fd=handle))
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)  # shutil.rmtree recurses too deeply


@pytest.mark.skipif(os.name != "posix", reason="very deep folders (needs POSIX)")
def test_thousands_of_nested_folders_are_walked_and_too_long_paths_named(nested: Path) -> None:
    (nested / "z.png").write_bytes(b"x")
    image, deep, last = open_source(nested)
    assert (image.path, image.problem) == ("d/" * 1_500 + "a.png", None)
    assert "its path is longer than the system allows" in str(deep.problem)
    assert (last.path, last.problem) == ("z.png", None)


def test_symlink_loops_end_and_linked_folders_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(b"x")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "second").symlink_to(tmp_path / "real")
    assert names(tmp_path) == ["real/a.png"]


def test_what_is_no_file_is_named_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to("self")
    with open(os.fsencode(tmp_path) + b"/bad\xff.png", "wb") as file:
        file.write(b"x")
    problems = {ref.path: ref.problem for ref in open_source(tmp_path)}
    assert "not a regular file" in problems["pipe"]
    assert "no such file" in problems["dangling"]
    with pytest.raises(BadImage, match="not a regular file"):
        open_source(tmp_path).read("pipe", LIMIT)
    assert "symbolic links" in problems["self"]
    assert "UTF-8" in problems["bad\\xff.png"]


def test_reading_stays_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "in").mkdir()
    source = open_source(tmp_path / "in")
    for path in ("../secret", str(tmp_path / "secret"), "a/../../secret"):
        with pytest.raises(BadImage, match="outside"):
            source.read(path, LIMIT)


def test_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(LIMIT + 1))
    with pytest.raises(BadImage, match="larger than the limit of 1 MiB"):
        open_source(tmp_path).read("big", LIMIT)


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="files of other users (needs root)"
)
def test_unreadable_file_is_a_bad_image(tmp_path: Path) -> None:
    file = tmp_path / "locked.png"
    file.write_bytes(b"x")
    file.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)  # pytest's own temporary folders are closed to others
    os.seteuid(65534)
    try:
        with pytest.raises(BadImage, match="unreadable: permission denied"):
            open_source(tmp_path).read("locked.png", LIMIT)
    finally:
        os.seteuid(0)


def test_id_stays_and_stamp_changes_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    (before,) = open_source(tmp_path)
    (tmp_path / "a.png").write_bytes(b"other")
    (after,) = open_source(tmp_path)
    assert before.id == after.id
    assert before.stamp != after.stamp


def png() -> bytes:
    import io

    stream = io.BytesIO()
    draw("disc", 1).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_parquet_with_an_image_column(tmp_path: Path, kind: str) -> None:
    value = {"bytes": png(), "path": "a.png"} if kind == "struct" else png()
    column = pa.array([value] * 5)
    table = pa.table({"text": ["t"] * 5, "image": column, "label": [0, 1, 2, 1, 0]})
    pq.write_table(table, tmp_path / "some.parquet", row_group_size=2)
    source = open_source(tmp_path / "some.parquet")
    paths = [ref.path for ref in source]
    assert paths == [f"some.parquet#{row}" for row in range(5)]
    for path in reversed(paths):
        assert decode(source.read(path, LIMIT), 64).size == (96, 80)
    with pytest.raises(BadImage, match="no such row"):
        source.read("some.parquet#5", LIMIT)
    assert source.labels() == dict(zip(paths, "01210", strict=True))


def test_each_row_is_read_from_its_own_row_group(tmp_path: Path) -> None:
    table = pa.table({"image": [bytes([row]) for row in range(100)]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=7)
    source = open_source(tmp_path / "rows.parquet")
    assert [source.read(ref.path, LIMIT)[0] for ref in source] == list(range(100))


def test_folder_of_parquet_files(tmp_path: Path) -> None:
    for part in (0, 1):
        name = f"train-{part}.parquet"
        pq.write_table(pa.table({"image": [png()]}), tmp_path / name)
    (tmp_path / "README.md").write_text("about")
    assert names(tmp_path) == ["train-0.parquet#0", "train-1.parquet#0"]


def test_parquet_row_without_bytes_is_a_bad_image(tmp_path: Path) -> None:
    column = pa.array(
        [{"bytes": None, "path": "gone.jpg"}],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    pq.write_table(pa.table({"image": column}), tmp_path / "p.parquet")
    with pytest.raises(BadImage, match="empty"):
        open_source(tmp_path / "p.parquet").read("p.parquet#0", LIMIT)


def test_digits_are_always_at_hand() -> None:
    source = open_source("digits")
    first = next(iter(source))
    assert source.count == 1797
    assert decode(source.read(first.path, LIMIT), 64).size == (8, 8)
    assert source.labels()[first.path] == "0"


def test_what_is_no_source_is_said_in_one_sentence(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no")
    (tmp_path / "one.jpg").write_bytes(b"x")
    for name, sentence in {
        "missing": "no such folder or file",
        "text.parquet": "has no image column.*found text",
        "broken.parquet": "not a readable Parquet file",
        "one.jpg": "is one file: give the folder",
    }.items():
        with pytest.raises(HeadlightError, match=sentence) as error:
            open_source(tmp_path / name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "run"),
    [
        ("memory://bucket/pre/photos", "photos.headlight"),
        ("memory://bucket", "bucket.headlight"),
        ("memory://t/train-{000..003}.tar", "train.headlight"),
        ("memory://t/train-{000..003}.parquet", "train.headlight"),
    ],
)
def test_a_run_is_called_after_its_source(spec: str, run: str) -> None:
    class Named(ImageSource):
        uri = spec

        def walk(self) -> Iterator[ImageRef]:
            return iter(())

        def read(self, path: str, limit: int) -> bytes:
            raise NotImplementedError

    assert default_run(Named()) == Path(run)


def test_any_store_fsspec_knows_is_read_alike() -> None:
    """Google's and Microsoft's can't be reached here: this one has no more of fsspec than they."""
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({"/pre/a/1.png": b"one", "/pre/b.png": b"two", "/pre/notes.txt": b""})
    source = open_source("memory://pre")
    assert {ref.path: source.read(ref.path, LIMIT) for ref in source} == {
        "a/1.png": b"one",
        "b.png": b"two",
    }
    assert source.others == 1
    memory.rm("/pre", recursive=True)


def test_of_two_images_with_one_name_the_first_counts(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(5)]
    (tmp_path / "l.txt").write_text("\n".join(names + names[::-1]))
    source = open_source(tmp_path / "l.txt")
    assert [ref.path for ref in source] == names
    assert all("no such file" in str(ref.problem) for ref in source)
    assert source.count == len(source.listing.ids) == len(source.listing.stamps) == 5


def test_a_source_is_walked_once_by_a_whole_command(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = 0
    walk = FolderSource.walk

    def counted(source: FolderSource) -> Iterator[ImageRef]:
        nonlocal walks
        walks += 1
        return walk(source)

    monkeypatch.setattr(FolderSource, "walk", counted)
    for _ in range(2):  # making it, and finding that nothing is to be done
        cluster(photos, 3, out=tmp_path / "r.run", encoder="lite0@64", views=0, device="cpu")
        assert walks == 1
        walks = 0
