"""Sources by URL, against an S3 endpoint on loopback in which things go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from headlight.errors import HeadlightError
from headlight.images import BadImage, faults, open_source, remote
from headlight.images.folder import FolderSource
from tests.stores import Store

LIMIT = 2**20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits as many times as ever, but not as long."""
    monkeypatch.setattr(remote, "WAITS", (0.01, 0.02, 0.03, 0.04))


def listed(url: str) -> list[str]:
    return [ref.path for ref in open_source(url)]


def test_a_prefix_is_listed_as_a_folder_is(store: Store, tmp_path: Path) -> None:
    names = ["b/2.png", "b/10.png", "a/1.png", "z.png", "é/日本.png", "sp ace+%41?#.png"]
    for name in [*names, "notes.txt", ".hidden.png", "old.headlight/a.png", ".git/x.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    import boto3

    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        key = f"deep/pre/{file.relative_to(tmp_path).as_posix()}"
        boto3.client("s3").put_object(Bucket=store.bucket, Key=key, Body=file.read_bytes())
    folder, prefix = FolderSource(tmp_path), open_source(f"{store.url}/deep/pre/")
    assert [ref.path for ref in prefix] == [ref.path for ref in folder] == sorted(names)
    assert prefix.others == folder.others == 1
    assert (prefix.listing.ids == folder.listing.ids).all()
    assert [prefix.read(name, LIMIT) for name in names] == [name.encode() for name in names]
    assert prefix.uri == f"{store.url}/deep/pre"


def test_each_folder_is_listed_once_however_often_it_is_asked(store: Store) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        store.put(f"pre/{name}", b"x")
    source = open_source(f"{store.url}/pre")
    assert source.count == 3
    assert [len(list(source)), len(source.listing)] == [3, 3]
    assert len(store.requests) == 3  # the prefix, a, b


def test_a_changed_object_is_told_without_reading_it(store: Store) -> None:
    store.put("pre/a.png", b"one")
    (before,) = open_source(f"{store.url}/pre")
    store.put("pre/a.png", b"two")
    (after,) = open_source(f"{store.url}/pre")
    assert (before.path, before.id) == (after.path, after.id)
    assert before.stamp != after.stamp
    assert not [path for _, path in store.requests if path.endswith(".png")]


def test_empty_and_large_objects_are_bad_images(store: Store) -> None:
    store.put("pre/empty.png", b"")
    store.put("pre/full.png", bytes(LIMIT))
    store.put("pre/large.png", bytes(LIMIT + 1))
    source = open_source(f"{store.url}/pre")
    assert source.read("empty.png", LIMIT) == b""  # which decoding refuses
    assert source.read("full.png", LIMIT) == bytes(LIMIT)
    with pytest.raises(BadImage, match="larger than the limit of 1 MiB"):
        source.read("large.png", LIMIT)
    for path in ("../other.png", "/pre/full.png"):
        with pytest.raises(BadImage, match="outside"):
            source.read(path, LIMIT)


@pytest.mark.parametrize("fault", ["503", "cut", "slow"])
def test_what_passes_is_waited_for(
    store: Store, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "READ_SECONDS", 1.0)
    store.put("pre/a.png", b"some bytes")
    source = open_source(f"{store.url}/pre")
    left = 2

    def twice(path: str) -> str | None:
        nonlocal left
        left -= 1
        return fault if left >= 0 else None

    store.fault = twice
    assert source.read("a.png", LIMIT) == b"some bytes"
    assert left < 0


def test_a_listing_survives_an_overloaded_store(store: Store) -> None:
    store.put("pre/a.png", b"x")
    left = [True, True, True]
    store.fault = lambda _: "503" if left and left.pop() else None
    assert listed(f"{store.url}/pre") == ["a.png"]


@pytest.mark.parametrize(
    ("fault", "reason"), [("503", "on purpose"), ("cut", "."), ("slow", "it took too long")]
)
def test_an_image_that_never_comes_is_a_bad_one_and_no_other(
    store: Store, fault: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "READ_SECONDS", 0.4)
    monkeypatch.setattr(remote, "WAITS", (0.01,))
    for name in ("bad", "good"):
        store.put(f"pre/{name}.png", name.encode())
    source = open_source(f"{store.url}/pre")
    store.fault = lambda path: fault if "bad" in path else None
    with pytest.raises(BadImage, match=f"unreadable: .*{reason}") as error:
        source.read("bad.png", LIMIT)
    assert not error.value.gone
    assert source.read("good.png", LIMIT) == b"good"


def test_an_object_that_vanishes_after_listing_is_gone(store: Store) -> None:
    store.put("pre/a.png", b"x")
    source = open_source(f"{store.url}/pre")
    assert source.count == 1
    store.delete("pre/a.png")
    with pytest.raises(BadImage) as error:
        source.read("a.png", LIMIT)
    assert error.value.gone


def test_a_store_that_is_down_ends_the_run_instead_of_filling_the_quarantine(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAITS", (0.0,))
    for i in range(remote.MOST_FAILURES):
        store.put(f"pre/{i}.png", b"x")
    source = open_source(f"{store.url}/pre")
    paths = [ref.path for ref in source]
    store.fault = lambda _: "503"
    for path in paths[:-1]:
        with pytest.raises(BadImage):
            source.read(path, LIMIT)
    with pytest.raises(HeadlightError, match="can't be read any more.*goes on from here"):
        source.read(paths[-1], LIMIT)
    store.fault = lambda _: None
    assert source.read(paths[0], LIMIT) == b"x"  # and it has not given up for good


def test_refused_credentials_are_one_sentence(store: Store) -> None:
    store.put("pre/a.png", b"x")
    source = open_source(f"{store.url}/pre")
    assert source.count
    store.fault = lambda _: "403"
    for call in (lambda: source.read("a.png", LIMIT), lambda: open_source(f"{store.url}/pre")):
        with pytest.raises(HeadlightError, match="refuses access.*check the credentials") as error:
            call()
        assert "\n" not in str(error.value)


def test_what_is_not_there_is_said(store: Store) -> None:
    for url in ("s3://no-such-bucket/x", f"{store.url}/none", f"{store.url}/none.tar"):
        with pytest.raises(HeadlightError, match=f"{url}: there is nothing there"):
            open_source(url).count  # noqa: B018


def test_an_endpoint_nobody_listens_at_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(remote, "WAITS", (0.0,))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(HeadlightError, match="can't be read .*run the same command again later"):
        open_source(f"{store.url}/pre")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(remote.SCHEMES, "gs", ("no_such_module", "gcs"))
    with pytest.raises(HeadlightError, match=r"pip install 'headlight-images\[gcs\]'"):
        open_source("gs://bucket/prefix")


def test_faults_are_told_apart_by_what_libraries_raise() -> None:
    class AnswerError(Exception):
        def __init__(self, status: int) -> None:
            super().__init__(f"{status}")
            self.status = status

    passing = [
        AnswerError(503),
        AnswerError(429),
        TimeoutError(),
        ConnectionResetError(104, "reset"),
    ]
    lasting = [
        AnswerError(404),
        AnswerError(403),
        FileNotFoundError(),
        PermissionError(),
        ValueError(),
    ]
    assert all(map(faults.may_pass, passing))
    assert not any(map(faults.may_pass, lasting))


def test_no_secret_of_a_url_gets_into_a_message() -> None:
    error = ConnectionError("no route to https://u:pw@h.org/a.jpg?X-Amz-Signature=abc&w=3")
    assert faults.why_of(error) == "no route to https://h.org/a.jpg?w=3"
