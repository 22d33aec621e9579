"""Data sets of many Parquet files, in folders, buckets and the Hugging Face hub."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headlight.errors import HeadlightError
from headlight.images import BadImage, open_source, remote
from tests.stores import Store, serving

LIMIT = 2**20


def table(images: list[bytes], **columns: list[object]) -> bytes:
    """A Parquet file with two rows a group."""
    stream = io.BytesIO()
    rows = [{"bytes": image, "path": "x.png"} for image in images]
    pq.write_table(pa.table({"image": rows, **columns}), stream, row_group_size=2)
    return stream.getvalue()


def read_all(spec: str | Path) -> dict[str, bytes]:
    source = open_source(spec)
    return {ref.path: source.read(ref.path, LIMIT) for ref in source}


def test_hive_partitions_and_marks_of_writers_are_no_images(tmp_path: Path) -> None:
    expected = {}
    for split in ("test", "train"):
        for year in (2023, 2024):
            name = f"split={split}/year={year}/part-0.parquet"
            file = tmp_path / name
            file.parent.mkdir(parents=True)
            images = [f"{name}{i}".encode() for i in range(3)]
            file.write_bytes(table(images, label=[0, 1, 2]))
            expected |= {f"{name}#{i}": image for i, image in enumerate(images)}
            (file.parent / f".{file.name}.crc").write_bytes(b"x")
    (tmp_path / "_SUCCESS").write_bytes(b"")
    (tmp_path / "_metadata").write_bytes(b"x")
    assert read_all(tmp_path) == expected
    labels = open_source(tmp_path).labels()
    assert labels == {path: path[-1] for path in expected}


def test_a_bucket_of_tables_is_read_as_a_folder_of_them(store: Store, tmp_path: Path) -> None:
    for i in range(3):
        file = tmp_path / f"k={i}" / f"{i}.parquet"
        file.parent.mkdir()
        file.write_bytes(table([bytes([i, j]) for j in range(5)], label=list(range(5))))
    store.put_folder(tmp_path, "tables")
    here, there = open_source(tmp_path), open_source(f"{store.url}/tables")
    assert read_all(f"{store.url}/tables") == read_all(tmp_path)
    assert there.labels() == here.labels()
    assert list(read_all(f"{store.url}/tables/k=1/1.parquet")) == [
        f"1.parquet#{i}" for i in range(5)
    ]
    assert (here.listing.ids == there.listing.ids).all()


def test_a_row_group_is_waited_for_and_a_lost_one_costs_its_images(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAITS", (0.01,))
    store.put("t/a.parquet", table([b"a", b"b", b"c"]))
    source = open_source(f"{store.url}/t")
    assert source.count == 3
    left = [True]
    store.fault = lambda _: "503" if left and left.pop() else None
    assert source.read("a.parquet#0", LIMIT) == b"a"
    store.fault = lambda _: "503"
    with pytest.raises(BadImage, match="unreadable"):
        source.read("a.parquet#2", LIMIT)
    store.fault = lambda _: None
    store.delete("t/a.parquet")
    with pytest.raises(BadImage) as error:
        source.read("a.parquet#2", LIMIT)
    assert error.value.gone


def test_a_damaged_table_in_a_bucket_is_one_sentence(store: Store) -> None:
    whole = table([b"a", b"b"])
    for name, data in (("cut", whole[:-20]), ("empty", b""), ("none", b"PAR1 but no")):
        store.put(f"{name}/a.parquet", data)
        with pytest.raises(HeadlightError, match=f"{name}/a.parquet is not a readable Parquet"):
            open_source(f"{store.url}/{name}")
    store.put("two/a.parquet", whole)
    store.put("two/b.parquet", whole[:-20])
    with pytest.raises(HeadlightError, match="two/b.parquet is not a readable Parquet"):
        open_source(f"{store.url}/two").count  # noqa: B018


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """The files of ``datasets/owner/name`` on a hub of our own: as much of one as is asked for."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="hf:// (extra hub)")
    files: dict[str, bytes] = {}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path == "/api/datasets/owner/name":
                self.answer(200, json.dumps({"id": "owner/name", "sha": "a" * 40}).encode())
            elif found := re.fullmatch(r"/api/datasets/owner/name/tree/main/?(.*)", path):
                entries = self.tree(found[1] and found[1] + "/")
                headers = {} if entries else {"X-Error-Code": "EntryNotFound"}
                self.answer(200 if entries else 404, json.dumps(entries).encode(), headers)
            elif found := re.fullmatch(r"/datasets/owner/name/resolve/main/(.*)", path):
                self.file(files[found[1]])
            else:
                self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET  # noqa: N815

        def tree(self, prefix: str) -> list[dict[str, object]]:
            found: dict[str, dict[str, object]] = {}
            for name, data in files.items():
                first, deeper, _ = name.removeprefix(prefix).partition("/")
                kind, oid = ("directory", "d") if deeper else ("file", str(hash(data)))
                if name.startswith(prefix):
                    entry = {"type": kind, "path": prefix + first, "oid": oid, "size": len(data)}
                    found[prefix + first] = entry
            return list(found.values())

        def file(self, data: bytes) -> None:
            wanted = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
            if not wanted:
                return self.answer(200, data)
            part = data[int(wanted[1]) : int(wanted[2]) + 1]
            end = int(wanted[1]) + len(part) - 1
            self.answer(206, part, {"Content-Range": f"bytes {wanted[1]}-{end}/{len(data)}"})
            return None

        def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Hub) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        place = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        from huggingface_hub import HfFileSystem

        HfFileSystem.clear_instance_cache()
        yield files
        HfFileSystem.clear_instance_cache()


def test_a_data_set_of_the_hub_is_known_by_its_name(hub: dict[str, bytes]) -> None:
    hub |= {
        "README.md": b"about",
        "data/train-00000-of-00002.parquet": table([b"a", b"b", b"c"], label=[0, 1, 1]),
        "data/train-00001-of-00002.parquet": table([b"d"], label=[0]),
    }
    spec = "hf://datasets/owner/name"
    first, second = (name for name in hub if name.endswith("parquet"))
    expected = {f"{first}#0": b"a", f"{first}#1": b"b", f"{first}#2": b"c", f"{second}#0": b"d"}
    assert read_all(spec) == expected
    assert open_source(spec).labels() == dict(zip(expected, "0110", strict=True))
    assert list(read_all(f"{spec}/data/train-{{00000..00001}}-of-00002.parquet").values()) == [
        *expected.values()
    ]
    stamps = {ref.path: ref.stamp for ref in open_source(spec)}
    hub[second] = table([b"other"], label=[0])
    changed = [ref.path for ref in open_source(spec) if stamps[ref.path] != ref.stamp]
    assert changed == [f"{second}#0"]
    with pytest.raises(HeadlightError, match="hf://datasets/owner/other: there is nothing there"):
        open_source("hf://datasets/owner/other")
