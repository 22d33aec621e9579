from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from headlight.errors import HeadlightError
from headlight.images import BadImage, http, open_source, remote
from tests.images.test_parquet import table
from tests.images.test_tar import write_tar
from tests.stores import Store, serving

LIMIT = 2**20
Page = tuple[int, dict[str, str], bytes]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAITS", (0.01, 0.02))


@pytest.fixture
def web() -> Iterator[tuple[str, dict[str, Page]]]:
    """The URL of a web server, and its pages: path with query → status, headers, body."""
    pytest.importorskip("aiohttp", reason="http:// (pip install aiohttp)")
    pages: dict[str, Page] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = pages.get(self.path, (404, {}, b""))
            asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
            if asked and "Accept-Ranges" in headers:
                first, last, whole = int(asked[1]), int(asked[2]), len(body)
                status, body = 206, body[first : last + 1]
                headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{whole}"}
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url, pages


def test_a_text_file_lists_paths_and_urls(
    tmp_path: Path, store: Store, web: tuple[str, dict[str, Page]]
) -> None:
    url, pages = web
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.png").write_bytes(b"relative")
    (tmp_path / "abs.png").write_bytes(b"absolute")
    pages["/c.png?w=2"] = (200, {}, b"web")
    store.put("x/d.png", b"bucket")
    lines = {
        "in/a b.png": b"relative",
        str(tmp_path / "abs.png"): b"absolute",
        f"{url}/c.png?w=2": b"web",
        f"{store.url}/x/d.png": b"bucket",
    }
    file = tmp_path / "list.txt"
    file.write_text("\ufeff# my images\n\n" + "\r\n".join(lines) + "\n in/a b.png \n", "utf-8")
    source = open_source(file)
    assert [ref.path for ref in source] == list(lines)
    assert not [ref.problem for ref in source if ref.problem]
    assert {path: source.read(path, LIMIT) for path in lines} == lines
    assert source.uri == str(file)


@pytest.mark.parametrize("column", ["path", "File", "url", "image", "file_name"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_table_has_a_column_of_paths(tmp_path: Path, column: str, ending: str) -> None:
    (tmp_path / 'a,"b.png').write_bytes(b"x")
    cell = '"a,""b.png"'
    comma = "," if ending == "csv" else "\t"
    rows = [f"label{comma}{column}", f"1{comma}{cell}", f"2{comma}", "3"]
    (tmp_path / f"t.{ending}").write_text("\n".join(rows))
    source = open_source(tmp_path / f"t.{ending}")
    assert [source.read(ref.path, LIMIT) for ref in source] == [b"x"]


def test_what_is_no_list_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "long.csv").write_text("path\n" + "a" * 200_000)
    for name, sentence in {
        "none.csv": r"no column of paths: call it path or file.*\(found a, b\)",
        "binary.txt": "is not a list of images.*in UTF-8",
        "empty.csv": "no column of paths",
        "long.csv": "is not a list of images",
    }.items():
        with pytest.raises(HeadlightError, match=sentence):
            open_source(tmp_path / name)


def test_lines_that_lead_nowhere_are_quarantined(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "l.txt").write_text("none.png\nftp://h/a.png\nhttp://[::1/x\nnul\0.png\npipe.png")
    source = open_source(tmp_path / "l.txt")
    problems = {ref.path: ref.problem for ref in source}
    assert "no such file" in problems["none.png"]
    assert "not a kind of source" in problems["ftp://h/a.png"]
    assert problems["http://[::1/x"] == "not a URL"
    assert problems["nul\0.png"] == "not a path"
    with pytest.raises(BadImage, match="not a regular file"):
        source.read("pipe.png", LIMIT)


def test_nothing_that_is_not_listed_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "l.txt").write_text("a.png")
    with pytest.raises(BadImage, match="not an image of this source"):
        open_source(tmp_path / "l.txt").read(str(tmp_path / "secret"), LIMIT)


def test_a_signed_url_is_read_and_its_signature_not_kept(
    tmp_path: Path, web: tuple[str, dict[str, Page]]
) -> None:
    url, pages = web
    pages["/a.png?X-Amz-Signature=secret"] = (200, {}, b"x")
    lines = [f"{url}/a.png?X-Amz-Signature=secret", f"{url}/b.png?access_token=secret"]
    (tmp_path / "l.txt").write_text("\n".join(lines))
    source = open_source(tmp_path / "l.txt")
    assert [ref.path for ref in source] == [f"{url}/a.png", f"{url}/b.png"]
    assert source.read(f"{url}/a.png", LIMIT) == b"x"
    with pytest.raises(BadImage, match="404") as error:
        source.read(f"{url}/b.png", LIMIT)
    assert error.value.gone
    assert "secret" not in str(error.value)
    pages["/b.png?access_token=secret"] = (403, {}, b"")
    with pytest.raises(BadImage, match="unreadable: 403") as error:
        source.read(f"{url}/b.png", LIMIT)
    assert "secret" not in str(error.value)


def test_a_list_from_elsewhere_names_nothing_of_this_machine(
    tmp_path: Path, web: tuple[str, dict[str, Page]]
) -> None:
    url, pages = web
    (tmp_path / "secret.png").write_bytes(b"x")
    there = [str(tmp_path / "secret.png"), f"file://{tmp_path}/secret.png", "../up.png"]
    pages["/lists/l.txt"] = (200, {}, "\n".join([*there, "near.png"]).encode())
    pages["/lists/near.png"] = (200, {}, b"near")
    source = open_source(f"{url}/lists/l.txt")
    assert [bool(ref.problem) for ref in source] == [True, True, True, False]
    assert source.read("near.png", LIMIT) == b"near"
    for path in there:
        with pytest.raises(BadImage):
            source.read(path, LIMIT)


def test_one_image_behind_a_url_is_a_source(store: Store, web: tuple[str, dict[str, Page]]) -> None:
    url, pages = web
    pages["/a.jpg"] = (200, {}, b"web")
    store.put("pre/a.jpg", b"bucket")
    for spec, data in ((f"{url}/a.jpg", b"web"), (f"{store.url}/pre/a.jpg", b"bucket")):
        source = open_source(spec)
        assert [ref.path for ref in source] == [spec] == [source.uri]
        assert source.read(spec, LIMIT) == data


def test_redirects_are_followed_a_few_times_and_not_anywhere(
    web: tuple[str, dict[str, Page]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, pages = web
    for i in range(9):
        pages[f"/{i}"] = (302, {"Location": f"/{i + 1}"}, b"")
    pages["/9"] = (200, {}, b"end")
    pages["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    pages["/away"] = (302, {"Location": f"{url}/9"}, b"")

    def read(path: str) -> bytes:
        return open_source(f"{url}{path}").read(f"{url}{path}", LIMIT)

    assert read("/4") == b"end"
    with pytest.raises(BadImage, match="redirects more than 5 times"):
        read("/3")
    with pytest.raises(BadImage, match="something other than HTTP"):
        read("/file")
    assert read("/away") == b"end"  # from this machine to this machine

    async def public_at_first(_: object, address: str) -> bool:
        return address.endswith("/away")

    monkeypatch.setattr(http, "_is_public", public_at_first)
    with pytest.raises(BadImage, match="an address inside this network"):
        read("/away")


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False), ("localhost", False), ("10.1.2.3", False), ("[::1]", False),
        ("169.254.169.254", False), ("8.8.8.8", True), ("[2606:4700::1111]", True),
    ],
)  # fmt: skip
def test_private_addresses_are_told_from_public_ones(host: str, public: bool) -> None:
    import asyncio

    async def ask() -> bool:
        return await http._is_public(asyncio.get_running_loop(), f"http://{host}/x")

    assert asyncio.run(ask()) == public


def test_a_page_without_end_is_cut_at_the_limit(
    web: tuple[str, dict[str, Page]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, pages = web
    pages["/big"] = (200, {}, bytes(5 * LIMIT))
    with pytest.raises(BadImage, match="larger than the limit of 1 MiB"):
        open_source(f"{url}/big").read(f"{url}/big", LIMIT)


def test_a_dead_host_in_a_list_costs_its_own_images_only(
    tmp_path: Path, web: tuple[str, dict[str, Page]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, pages = web
    monkeypatch.setattr(remote, "WAITS", (0.05,))
    monkeypatch.setattr(remote, "MOST_FAILURES", 3)
    pages["/a.png"] = (200, {}, b"x")
    dead = [f"http://127.0.0.1:9/{i}.png" for i in range(40)]
    (tmp_path / "l.txt").write_text("\n".join([*dead, f"{url}/a.png"]))
    source = open_source(tmp_path / "l.txt")
    started = time.monotonic()
    for path in dead:
        with pytest.raises(BadImage, match="unreadable"):
            source.read(path, LIMIT)
    assert time.monotonic() - started < 2  # after three it is not waited for
    assert source.read(f"{url}/a.png", LIMIT) == b"x"


def test_a_changed_file_in_a_list_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "l.txt").write_text("a.png")
    (before,) = open_source(tmp_path / "l.txt")
    (tmp_path / "a.png").write_bytes(b"other")
    (after,) = open_source(tmp_path / "l.txt")
    assert before.id == after.id
    assert before.stamp != after.stamp


def test_tables_and_archives_over_http_are_read_in_parts(
    tmp_path: Path, web: tuple[str, dict[str, Page]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url, pages = web
    archive = write_tar(tmp_path / "a.tar", {"x.png": b"one", "y.png": b"two"}).read_bytes()
    pages["/a.tar"] = (200, {"Accept-Ranges": "bytes"}, archive)
    pages["/t.parquet?download=true"] = (200, {"Accept-Ranges": "bytes"}, table([b"1", b"2"]))
    for spec, expected in {
        f"{url}/a.tar": {"a.tar/x.png": b"one", "a.tar/y.png": b"two"},
        f"{url}/t.parquet?download=true": {
            "t.parquet?download=true#0": b"1",
            "t.parquet?download=true#1": b"2",
        },
    }.items():
        source = open_source(spec)
        assert {ref.path: source.read(ref.path, LIMIT) for ref in source} == expected
    pages["/a.tar"] = (200, {}, archive)  # the index is in the cache
    source = open_source(f"{url}/a.tar")
    with pytest.raises(BadImage, match="sends whole files only"):
        source.read("a.tar/x.png", LIMIT)
