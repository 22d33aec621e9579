"""The app's server: what it answers, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headlight.errors import HeadlightError
from headlight.explore.app import explore
from headlight.explore.app.cache import PictureCache
from headlight.explore.report import write_report
from headlight.features import FeatureStore, StoreSettings
from headlight.images import image_id
from headlight.review.log import FILE, move
from headlight.review.review import review
from headlight.runs import Run, load_run
from tests.conftest import draw, rewrite_info
from tests.explore.handmade import handmade_run
from tests.explore.serving import Server

pytest.importorskip("starlette", reason="the review app (pip install 'headlight-images[explore]')")
pytest.importorskip("uvicorn", reason="the review app (pip install 'headlight-images[explore]')")


def make(folder: Path) -> Path:
    photos = folder / "photos"
    photos.mkdir()
    clusters = {}
    for k, name in enumerate(("a", "b")):
        clusters[name] = [f"{name}{i}.jpg" for i in range(6)]
        for i, path in enumerate(clusters[name]):
            draw("disc", 10 * k + i, (300, 200)).save(photos / path)
    (folder / "secret.jpg").write_bytes((photos / "a0.jpg").read_bytes())
    return handmade_run(folder / "r.headlight", photos, clusters).path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(make(tmp_path_factory.mktemp("app")))
    yield found
    found.kill()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/static/main.js",
        "/api/state",
        "/api/events",
        "/api/pictures?rows=0",
        "/thumbnail/{mark}/0",
    ],
)
@pytest.mark.parametrize("token", ["", "wrong", "%C3%A9", ".", "{token}x", "x/{token}", "%2e"])
def test_without_the_token_nothing_is_answered(server: Server, path: str, token: str) -> None:
    token = token.format(token=server.token)
    # Nor with the token in a place that a browser would show to others.
    headers = {"Cookie": f"headlight-{server.port}={server.token}; token={server.token}"}
    status, text = server.ask(f"{path}?token={server.token}", None, headers, token)
    assert status == 403
    assert b"Open the address" in text


def test_the_token_is_in_the_path_and_never_in_a_cookie_or_a_referrer(server: Server) -> None:
    status, page = server.ask("/")
    assert (status, b"<!doctype html>" in page) == (200, True)
    assert server.token.encode() not in page
    assert "set-cookie" not in {name.lower() for name in server.headers}  # sent to any port
    assert server.headers["referrer-policy"] == "no-referrer"
    policy = server.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": None}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_forged_requests_change_nothing(
    server: Server, headers: dict[str, str | None], status: int
) -> None:
    before = server.ask("/api/state")[1]["version"]
    body = {"cluster": 0, "name": "forged"}
    assert server.ask("/api/rename", body, headers)[0] == status
    assert server.ask("/api/state")[1]["version"] == before


def test_reading_from_another_site_is_refused(server: Server) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert server.ask("/api/state", headers=headers)[0] == 403
        assert server.ask("/thumbnail/{mark}/0", headers=headers)[0] == 403
    assert server.ask("/api/state", headers={"Sec-Fetch-Site": "same-origin"})[0] == 200


def test_images_are_served_by_row_and_only_those_of_the_run(server: Server) -> None:
    status, data = server.ask("/image/{mark}/0")
    assert (status, Image.open(io.BytesIO(data)).size) == (200, (300, 200))
    assert "immutable" in server.headers["cache-control"]
    assert Image.open(io.BytesIO(server.ask("/thumbnail/{mark}/11")[1])).height == 144
    for row in (
        "12",
        "-1",
        "1e9",
        "99999999999999999999",
        "a0.jpg",
        "../secret.jpg",
        "%2e%2e%2fsecret.jpg",
    ):
        assert server.ask(f"/image/{{mark}}/{row}")[0] in (400, 404)
        assert server.ask(f"/thumbnail/{{mark}}/{row}")[0] in (400, 404)
        assert server.ask(f"/api/pictures?rows=0,{row}")[0] == 400
        assert server.ask(f"/api/facts?rows={row}")[0] == 400
    for path in (
        "/static/../api.py",
        "/static/..%2f..%2freport.py",
        "/static/secret.jpg",
        "/secret.jpg",
        "/static//etc/passwd",
    ):
        assert server.ask(path)[0] == 404


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("rename", []),
        ("rename", {}),
        ("rename", {"cluster": "0", "name": "x"}),
        ("rename", {"cluster": 0, "name": 7}),
        ("rename", {"cluster": 0, "name": "x" * 10_000}),
        ("rename", {"cluster": 77, "name": "x"}),
        ("move", {"rows": [], "cluster": 1}),
        ("move", {"rows": [12], "cluster": 1}),
        ("move", {"rows": [-1], "cluster": 1}),
        ("move", {"rows": ["../secret.jpg"], "cluster": 1}),
        ("move", {"rows": 5, "cluster": 1}),
        ("split", {"cluster": 0, "parts": 1}),
        ("split", {"cluster": 0, "parts": "two"}),
        ("merge", {"clusters": [0], "into": 0}),
        ("undo", {"version": 999}),
        ("refit/apply", {"version": 0, "rows": [0]}),
        ("export", {"format": "exe", "path": "/tmp/x"}),
        ("export", {"format": "csv", "path": "relative.csv"}),
        ("export", {"format": "csv", "path": ""}),
    ],
)
def test_requests_that_make_no_sense_get_a_sentence(
    server: Server, name: str, body: object
) -> None:
    before = server.ask("/api/state")[1]
    status, answer = server.ask(f"/api/{name}", body)
    assert status in (400, 409)
    assert len(answer["error"]) > 10
    after = server.ask("/api/state")[1]
    assert (after["version"], after["clusters"]) == (before["version"], before["clusters"])


def test_orders_search_and_facts(server: Server) -> None:
    def rows(query: str) -> list[int]:
        return np.frombuffer(server.ask(f"/api/rows?{query}")[1], "<i4").tolist()

    # Confidence falls from the first image of a handmade cluster to the last.
    assert rows("cluster=1&order=certain") == [6, 7, 8, 9, 10, 11]
    assert rows("cluster=1&order=uncertain") == [11, 10, 9, 8, 7, 6]
    assert rows("search=B1") == [7]
    assert rows("search=%25") == []
    assert sorted(rows("")) == list(range(12))
    assert server.ask("/api/rows?order=worst")[0] == 400
    fact = server.ask("/api/facts?rows=7")[1][0]
    assert (fact["path"], fact["cluster"], fact["outlier"]) == ("b1.jpg", 1, False)
    assert server.ask("/api/rows?cluster=1&order=typical")[0] == 409  # there are no features


TYPICAL = re.compile(
    r'<article class="card" id="cluster-(\d+)".*?<ul class="typical">(.*?)</ul>', re.S
)


def test_report_and_app_show_the_same_typical_images(digits_run: Run, tmp_path: Path) -> None:
    path = Path(shutil.copytree(digits_run.path, tmp_path / "digits.headlight"))
    server = Server(path)
    names = np.array(digits_run.assignments["path"].to_pylist())

    def compare() -> None:
        html = write_report(load_run(path), tmp_path / "r.html").read_text("utf-8")
        state = server.ask("/api/state")[1]
        faces = {cluster["id"]: cluster["faces"] for cluster in state["clusters"]}
        cards = [(int(k), re.findall(r'alt="([^"]+)"', card)) for k, card in TYPICAL.findall(html)]
        assert sorted(k for k, _ in cards) == sorted(k for k, rows in faces.items() if rows)
        for k, shown in cards:
            order = server.ask(f"/api/rows?cluster={k}&order=typical")[1]
            rows = [row for row in np.frombuffer(order, "<i4").tolist() if row not in outliers]
            assert shown == names[rows[: len(shown)]].tolist()
            assert shown[:4] == names[faces[k]].tolist()

    outliers: list[int] = []
    compare()
    first = np.frombuffer(server.ask("/api/rows?cluster=0&order=typical")[1], "<i4")
    outliers = first[:3].tolist()
    assert server.ask("/api/outlier", {"rows": outliers, "value": True})[0] == 200
    assert server.ask("/api/move", {"rows": first[5:60].tolist(), "cluster": 1})[0] == 200
    assert server.ask("/api/merge", {"clusters": [2, 3], "into": 3})[0] == 200
    assert server.ask("/api/split", {"cluster": 4, "parts": 3})[0] == 200
    compare()
    server.kill()


def test_edits_are_on_disk_before_they_are_answered(tmp_path: Path) -> None:
    run = make(tmp_path)
    server = Server(run)
    names = []
    for i in range(12):
        name = f"name {i}"
        status, answer = server.ask("/api/rename", {"cluster": 0, "name": name})
        assert (status, answer["state"]["clusters"][0]["name"]) == (200, name)
        assert json.loads((run / FILE).read_text().splitlines()[-1])["name"] == name
        names.append(name)
    server.kill()
    server = Server(run)
    state = server.ask("/api/state")[1]
    assert (state["clusters"][0]["name"], state["edits"]) == (names[-1], 12)
    for name in [*names[-2::-1], "a"]:
        version = server.ask("/api/state")[1]["version"]
        answer = server.ask("/api/undo", {"version": version})[1]
        assert answer["state"]["clusters"][0]["name"] == name
    server.kill()


def test_another_process_is_heard_and_not_undone_by_mistake(tmp_path: Path) -> None:
    run = make(tmp_path)
    server = Server(run)
    seen = server.ask("/api/rename", {"cluster": 0, "name": "seen"})[1]["state"]["version"]
    review(load_run(run)).edit(move({1: np.array([0])}))
    status, answer = server.ask("/api/undo", {"version": seen})
    assert (status, "another tab" in answer["error"]) == (409, True)
    state = server.ask("/api/state")[1]
    assert [c["size"] for c in state["clusters"]] == [5, 7]
    assert server.ask("/api/undo", {"version": state["version"]})[1]["state"]["by_hand"] == 0
    server.kill()


def cache_of(run: Path) -> PictureCache:
    paths = load_run(run).assignments["path"].to_pylist()
    return PictureCache(run / "thumbnails.sqlite", [image_id(path) for path in paths])


def test_thumbnails_outlive_their_images(tmp_path: Path) -> None:
    run = make(tmp_path)
    server = Server(run)
    # All are made, though nobody asks for them.
    cache = cache_of(run)
    end = time.monotonic() + 20
    while cache.missing():
        assert time.monotonic() < end
        time.sleep(0.1)
    cache.close()
    first = server.ask("/thumbnail/{mark}/3")[1]
    server.kill()
    shutil.rmtree(tmp_path / "photos")
    server = Server(run)
    assert server.ask("/thumbnail/{mark}/3")[1] == first
    assert server.ask("/image/{mark}/3") == (200, first)  # better than nothing
    assert any("gone" in note for note in server.ask("/api/state")[1]["notes"])
    server.kill()
    for left in run.glob("thumbnails.sqlite*"):
        left.unlink()
    server = Server(run)
    assert server.ask("/thumbnail/{mark}/3") == (404, b"gone")
    assert server.ask("/api/pictures?rows=3,4")[1] == b"\0\0\0\0G" * 2
    server.kill()


def broken(run: Path, how: str) -> None:
    if how == "another version":
        rewrite_info(run, lambda info: info.update(format=99))
    elif how == "damaged run.json":
        (run / "run.json").write_text("{")
    elif how == "changed run.json":
        text = (run / "run.json").read_text()
        (run / "run.json").write_text(text.replace('"seed": 7', '"seed": 8'))
    elif how == "not fitted":
        paths = load_run(run).assignments["path"].to_pylist()
        settings = StoreSettings(str(run), "lite0", "ab" * 32, 1280, 2, "openvino-f32")
        store = FeatureStore.create(run / "features.lance", settings)
        vectors = [np.zeros((3, 1280), np.float16)] * len(paths)
        nothing = [None] * len(paths)
        store.append(list(range(len(paths))), paths, [0] * len(paths), nothing, vectors)
        rewrite_info(run, lambda info: info.pop("fit"))
    elif how == "no clusters":
        for file in run.rglob("clusters.parquet"):
            file.unlink()
    elif how == "of another fit":
        for file in run.rglob("clusters.parquet"):
            shutil.copy(file.with_name("assignments.parquet"), file)
    elif how == "damaged edits":
        (run / FILE).write_text("not JSON\n")


@pytest.mark.parametrize(
    ("how", "says", "images", "clusters"),
    [
        ("another version", "format 99", 0, 0),
        ("damaged run.json", "is damaged", 0, 0),
        ("changed run.json", "not as headlight wrote it", 0, 0),
        ("not fitted", "no clusters yet", 12, 1),
        ("no clusters", "clusters.parquet is missing", 12, 1),
        ("of another fit", "clusters.parquet is damaged", 12, 1),
        ("damaged edits", "line 1 of", 12, 2),
    ],
)
def test_a_broken_run_says_so_and_shows_what_it_can(
    tmp_path: Path, how: str, says: str, images: int, clusters: int
) -> None:
    run = make(tmp_path)
    broken(run, how)
    files = {file: file.read_bytes() for file in run.iterdir() if file.is_file()}
    server = Server(run)
    state = server.ask("/api/state")[1]
    assert says in state["read_only"]
    assert (state["images"], len(state["clusters"])) == (images, clusters)
    status, answer = server.ask("/api/rename", {"cluster": 0, "name": "x"})
    assert (status, "can be edited" in answer["error"]) == (409, True)
    assert server.ask("/")[0] == 200
    if images:
        assert server.ask("/thumbnail/{mark}/0")[0] == 200
        assert len(server.ask("/api/rows")[1]) == 4 * images
    server.kill()
    assert files == {file: file.read_bytes() for file in files}


def test_no_run_is_said_before_a_server_starts(tmp_path: Path) -> None:
    with pytest.raises(HeadlightError, match="no such run folder"):
        explore(tmp_path / "nothing", open_browser=False)
    with pytest.raises(HeadlightError, match="not a run of headlight"):
        explore(tmp_path, open_browser=False)


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(HeadlightError, match="can't be used"):
            explore(make(tmp_path), port=taken.getsockname()[1], open_browser=False)


def test_a_request_that_never_gets_whole_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headlight.explore.app import api, events, serving
    from headlight.explore.app import server as app_server
    from headlight.explore.app.live import Live

    monkeypatch.setattr(serving, "FIRST", 0.2)
    monkeypatch.setattr(api, "BODY", 0.2)
    monkeypatch.setattr(events, "MOST_TABS", 2)
    live = Live(make(tmp_path))
    tabs = events.Events(live)
    with app_server._listening(0) as listener:
        port = listener.getsockname()[1]
        app = app_server.make_app(live, tabs, port, "key")
        running = serving.Server(app, tabs.stop)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()

        def opened(text: str) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            connection.sendall(text.replace("\n", "\r\n").encode())
            return connection

        try:
            host = f"Host: 127.0.0.1:{port}\n"
            assert opened("GET /key/ HTTP/1.1\n").recv(99) == b""  # half a head
            slow = opened(
                f"POST /key/api/undo HTTP/1.1\n{host}Origin: http://127.0.0.1:{port}\n"
                "Content-Type: application/json\nContent-Length: 50\n\n{"
            )
            assert b" 408 " in slow.recv(99)
            event = f"GET /key/api/events HTTP/1.1\n{host}\n"
            held = [opened(event) for _ in range(2)]
            assert all(b" 200 " in stream.recv(17) for stream in held)
            assert b" 503 " in opened(event).recv(99)
            assert b" 307 " in opened(f"GET /key HTTP/1.1\n{host}\n").recv(99)
        finally:
            running.should_exit = True
            thread.join()
            live.close()
