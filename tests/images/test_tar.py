from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.errors import HeadlightError
from headlight.images import BadImage, open_source
from headlight.images import tar as tar_module
from headlight.images.files import LocalFiles
from headlight.images.tar import TarSource
from tests.stores import Store

LIMIT = 2**20


def write_tar(file: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    """A tar file of some files, in this order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w", format=form) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def read_all(source: TarSource) -> dict[str, bytes]:
    return {ref.path: source.read(ref.path, LIMIT) for ref in source if not ref.problem}


def test_shards_of_webdataset_give_their_images_alone(tmp_path: Path) -> None:
    for shard in (0, 1):
        members = {
            f"00{shard}.{kind}": f"{shard}{kind}".encode()
            for kind in ("jpg", "cls", "json", "txt", "npy", "png")
        }
        write_tar(tmp_path / f"train-{shard}.tar", members | {".secret.jpg": b"x"})
    (tmp_path / "README.md").write_text("about")
    expected = {
        f"train-{shard}.tar/00{shard}.{kind}": f"{shard}{kind}".encode()
        for shard in (0, 1)
        for kind in ("jpg", "png")
    }
    specs = [tmp_path, tmp_path / "train-{0..1}.tar", f"{tmp_path}/train-{{0,1}}.tar"]
    for spec in specs:
        source = open_source(spec)
        assert read_all(source) == expected
        assert source.others == 8
        assert read_all(open_source(source.uri)) == expected  # as from another process
    one = open_source(tmp_path / "train-1.tar")
    assert list(read_all(one)) == ["train-1.tar/001.jpg", "train-1.tar/001.png"]


NAMES = st.from_regex(r"[a-zé日 #]{1,8}(/[a-z]{1,90}){0,3}\.(jpg|png)", fullmatch=True)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(NAMES, st.binary(max_size=2000), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes], form: int
) -> None:
    file = write_tar(tmp_path_factory.mktemp("tar") / "a.tar", members, form)
    source = open_source(file)
    assert read_all(source) == {f"a.tar/{name}": data for name, data in members.items()}


def test_members_that_are_no_files_of_the_archive_are_quarantined(tmp_path: Path) -> None:
    def special(name: str, kind: bytes) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        return info

    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for name in ("../up.png", "/etc/root.png", "a/../../b.png", "good.png"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        for name, kind in {
            "sym.png": tarfile.SYMTYPE,
            "hard.png": tarfile.LNKTYPE,
            "pipe.png": tarfile.FIFOTYPE,
            "disk.png": tarfile.BLKTYPE,
        }.items():
            tar.addfile(special(name, kind))
        tar.addfile(special("folder.png", tarfile.DIRTYPE))
    source = open_source(tmp_path / "evil.tar")
    problems = {ref.path.removeprefix("evil.tar/"): ref.problem for ref in source}
    assert problems == {
        **dict.fromkeys(
            ("../up.png", "/etc/root.png", "a/../../b.png"), "its name leads out of the archive"
        ),
        "good.png": None,
        **dict.fromkeys(("sym.png", "hard.png", "pipe.png", "disk.png"), "not a regular file"),
    }
    for ref in source:
        if ref.problem:
            with pytest.raises(BadImage, match=ref.problem):
                source.read(ref.path, LIMIT)
    for path in ("other.tar/x.png", "../evil.tar/good.png", "good.png", "evil.tar/none.png"):
        with pytest.raises(BadImage) as error:
            source.read(path, LIMIT)
        assert error.value.gone or "outside" in str(error.value)


def test_the_last_of_members_with_one_name_counts(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for data in (b"old", b"newer"):
            info = tarfile.TarInfo("x.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    source = open_source(tmp_path / "a.tar")
    assert read_all(source) == {"a.tar/x.png": b"newer"}
    assert source.count == 1


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2 + 100]


def _overwritten(data: bytes) -> bytes:
    return data[:3072] + b"junk" * 128 + data[3584:]


def _endless_header(data: bytes) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
    return info.tobuf(tarfile.GNU_FORMAT) + data


@pytest.mark.parametrize("damage", [_cut, _overwritten, lambda _: b"", lambda _: b"no tar " * 999])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = write_tar(tmp_path / "a.tar", {f"{i}.png": bytes(1000) for i in range(5)})
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(HeadlightError, match="a.tar is not a readable tar file") as error:
        open_source(file).count  # noqa: B018
    assert "\n" not in str(error.value)


def test_a_header_may_not_claim_gigabytes(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    file.write_bytes(_endless_header(b""))
    with pytest.raises(HeadlightError, match="a header of 1,099,511,627,776 bytes"):
        open_source(file).count  # noqa: B018


def test_a_compressed_file_is_said_to_be_one(tmp_path: Path) -> None:
    for name in ("a.tar.gz", "a.tgz"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(HeadlightError, match="is compressed"):
            open_source(tmp_path / name)
    with tarfile.open(tmp_path / "b.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(HeadlightError, match="uncompressed"):
        open_source(tmp_path / "b.tar").count  # noqa: B018


def test_a_rewritten_file_is_told_from_the_one_before(tmp_path: Path) -> None:
    file = write_tar(tmp_path / "a.tar", {"x.png": b"one", "y.png": b"two"})
    before = open_source(file)
    stamps = {ref.path: ref.stamp for ref in before}
    write_tar(file, {"y.png": b"other"})
    (after,) = open_source(file)
    assert after.stamp != stamps[after.path]
    assert before.read("a.tar/y.png", LIMIT) == b"other"
    with pytest.raises(BadImage, match="gone"):
        before.read("a.tar/x.png", LIMIT)
    file.unlink()
    with pytest.raises(BadImage, match="the tar file is not there"):
        before.read("a.tar/y.png", LIMIT)


def test_a_file_behind_a_url_is_passed_through_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    members = {f"{i}.png": bytes([i]) * 5000 for i in range(20)} | {"0.json": b"{}"}
    store.put("tars/a.tar", write_tar(tmp_path / "a.tar", members).read_bytes())
    local, remote = open_source(tmp_path / "a.tar"), open_source(f"{store.url}/tars")
    assert read_all(remote) == read_all(local)
    assert remote.others == local.others == 1

    def scans(spec: str) -> int:
        calls = 0

        class Counted(tar_module.BoundedReads):
            def __init__(self, stream: object) -> None:
                nonlocal calls
                calls += 1
                super().__init__(stream)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tar_module, "BoundedReads", Counted)
            assert len(read_all(open_source(spec))) == 20
        return calls

    assert scans(f"{store.url}/tars/a.tar") == 0  # from the cache
    (kept,) = (tmp_path / "cache" / "headlight" / "tar").iterdir()
    kept.write_bytes(b"PAR1 but no")
    assert scans(f"{store.url}/tars/a.tar") == 1
    store.put("tars/a.tar", write_tar(tmp_path / "a.tar", members | {"0.png": b"x"}).read_bytes())
    assert scans(f"{store.url}/tars/a.tar") == 1


def test_few_indexes_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_module, "INDEXES_KEPT", 2)
    names = [f"{i}.tar" for i in range(5)]
    for name in names:
        write_tar(tmp_path / name, {"a.png": name.encode()})
    source = TarSource(LocalFiles(tmp_path))
    for name in names * 2:
        assert source.read(f"{name}/a.png", LIMIT) == name.encode()
    assert len(source._indexes) == 2
