"""An open app whose run is fitted again, restored or moved by another process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headlight.errors import HeadlightError
from headlight.explore.app.live import Live
from headlight.images import open_source
from headlight.review import fit_again
from headlight.review.log import FILE, rename
from headlight.review.review import review
from headlight.runs import embed_run, fit_run, load_run, relocate_run, restore_fit
from tests.conftest import draw
from tests.explore.serving import Server
from tests.explore.tab import Tab

pytest.importorskip("starlette", reason="the review app (pip install 'headlight-images[explore]')")
pytest.importorskip("uvicorn", reason="the review app (pip install 'headlight-images[explore]')")


@pytest.fixture
def server(fitted_copy: Path) -> Iterator[Server]:
    found = Server(fitted_copy)
    yield found
    found.kill()


def taken_up(server: Server, fit: str) -> dict[str, Any]:
    for _ in range(600):
        state = server.ask("/api/state")[1]
        if state["fit"] == fit:
            return state
        threading.Event().wait(0.1)
    raise AssertionError("the app never took it up")


def test_requests_of_the_fit_before_are_refused_and_lose_nothing(
    fitted_copy: Path, server: Server
) -> None:
    before = server.ask("/api/state")[1]
    server.ask("/api/rename", {"cluster": 0, "name": "kept"})
    run = fit_run(load_run(fitted_copy), 2, device="cpu")
    # At once, before the server has looked: what it answers is of one fit or a refusal.
    old = {"mark": before["mark"]}
    status, answer = server.ask("/api/rename", {**old, "cluster": 1, "name": "too late"})
    assert (status, "fitted again" in answer["error"]) == (410, True)
    after = taken_up(server, run.fit.id)
    assert after["mark"] != before["mark"]
    assert [c["size"] for c in after["clusters"]] == [
        int((run.assignments["cluster"].to_numpy() == k).sum()) for k in range(2)
    ]
    for path in ("rows?cluster=0&", "facts?rows=0&", "labels?", "map?", "pictures?rows=0&"):
        assert server.ask(f"/api/{path}mark={before['mark']}")[0] == 410
    assert server.ask(f"/thumbnail/{before['mark']}/0")[0] == 410
    for name, body in {
        "move": {"rows": [0], "cluster": 1},
        "undo": {"version": after["version"]},
        "alike": {"rows": [0]},
    }.items():
        status, answer = server.ask(f"/api/{name}", {**old, **body})
        assert (status, "nothing was changed" in answer["error"]) == (410, True)
    assert server.ask("/api/move", {"mark": None, "rows": [0], "cluster": 1})[0] == 400
    assert (fitted_copy / FILE).read_text().count("\n") == 1
    assert review(restore_fit(run, before["fit"])).names[0] == "kept"
    back = taken_up(server, before["fit"])
    assert back["clusters"][0]["name"] == "kept"
    assert back["mark"] not in (before["mark"], after["mark"])


def test_an_edit_that_comes_while_the_run_is_fitted_is_in_one_fit_or_refused(
    fitted_copy: Path, server: Server
) -> None:
    """Many edits at once with several fits: each answer says what is in the log."""
    state = server.ask("/api/state")[1]
    made: list[tuple[str, str]] = []
    stop = threading.Event()

    def write(number: int) -> None:
        mark, fit = state["mark"], state["fit"]
        for i in range(10_000):
            if stop.is_set():
                return
            name = f"{number}-{i}"
            status, answer = server.ask("/api/rename", {"mark": mark, "cluster": 0, "name": name})
            if status == 200:
                made.append((answer["state"]["fit"], name))
                assert answer["state"]["fit"] == fit
            else:
                assert status == 410, answer
                now = server.ask("/api/state")[1]
                mark, fit = now["mark"], now["fit"]

    threads = [threading.Thread(target=write, args=[k]) for k in range(3)]
    for thread in threads:
        thread.start()
    run = load_run(fitted_copy)
    first = run.fit.id
    second = fit_run(run, 2, device="cpu", set_aside=True).fit.id
    for fit in (first, second, first):
        restore_fit(load_run(fitted_copy), fit)
        taken_up(server, fit)
    stop.set()
    for thread in threads:
        thread.join()
    text = (fitted_copy / FILE).read_text()
    assert len(made) == text.count("\n") > 0
    for fit, name in made:
        assert any(f'"{fit}"' in line and f'"{name}"' in line for line in text.splitlines())


def test_a_request_ends_on_the_fit_that_it_began_on(fitted_copy: Path) -> None:
    live = Live(fitted_copy)
    try:
        with live.using() as former:
            assert former.pictures
            run = fit_run(load_run(fitted_copy), 2, device="cpu")
            assert live.look()
            assert live.session.fit == run.fit.id
            assert len(former.state()["clusters"]) == 3
            assert all(picture.data for picture in former.pictures.thumbnails(range(36)))
            assert former.cache.missing() == []
            with pytest.raises(HeadlightError, match="fitted again"):
                former.edit(rename(0, "too late"))
        assert len(former.cache.missing()) == 36  # closed, so nothing is found
        assert not live.look()
        assert live.session.cache.missing() == []
    finally:
        live.close()


def test_an_open_page_shows_the_new_fit_and_says_so(
    fitted_copy: Path, server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    second = sorted(tab.clusters())[1]
    tab.go(second)
    tab.tile(0).click()
    tab.press("m")
    tab.page.wait_for_selector("dialog")
    run = fit_run(load_run(fitted_copy), 4, device="cpu")
    tab.page.wait_for_selector("#again")
    # What was asked of images of the fit before is not asked any more.
    assert tab.page.locator("dialog").count() == 0
    assert tab.page.locator("#selection").is_hidden()
    notice = tab.page.locator("#again")
    assert notice.inner_text().startswith("The run was fitted again: 36 images, 4 groups.")
    style = notice.evaluate("e => [getComputedStyle(e).opacity, getComputedStyle(e).visibility]")
    assert style == ["1", "visible"]
    box = notice.bounding_box()
    assert box["height"] > 20
    assert box["y"] + box["height"] < tab.page.locator(".body").bounding_box()["y"] + 1
    paths = np.array(run.assignments["path"].to_pylist())
    labels = run.assignments["cluster"].to_numpy()
    # A group of another review, though it has the same number: the largest is shown instead.
    assert tab.page.inner_text("#name") == "cluster-0"
    assert sorted(tab.tiles()) == sorted(paths[labels == 0])
    tab.wait_for({f"cluster-{k}": int((labels == k).sum()) for k in range(4)})
    tab.until("[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth)")
    tab.press("r")
    tab.answer("mine", "Rename")
    tab.name("mine")
    kept = fit_again(load_run(fitted_copy), 3, device="cpu")
    tab.until("document.querySelector('#again').textContent.includes('Compare shows')")
    assert tab.page.locator("#compare").is_enabled()
    assert "mine" in tab.clusters()
    restore_fit(kept, kept.fit.id)
    tab.until("document.querySelector('#again').textContent.includes('36 images, 3 groups')")
    restore_fit(kept, run.fit.id)
    tab.until("document.querySelector('#again').textContent.includes('an earlier fit')")
    tab.go("mine")
    restore_fit(kept, kept.fit.id)
    tab.until("document.querySelector('#again').textContent.includes('3 groups')")
    assert ("mine" in tab.clusters()) == (tab.page.inner_text("#name") == "mine")
    restore_fit(kept, run.fit.id)
    tab.until("document.querySelector('#again').textContent.includes('4 groups')")
    notice.locator("button").click()
    assert tab.page.locator("#again").count() == 0
    restore_fit(load_run(fitted_copy), run.fit.id)  # the same: nothing to say
    review(load_run(fitted_copy)).edit(rename(2, "theirs"))
    tab.until("[...document.querySelectorAll('.words')].some(e => e.textContent === 'theirs')")
    assert tab.page.locator("#again").count() == 0
    assert [text for text in tab.complaints if "410" not in text] == []


def test_pictures_and_map_are_those_of_the_new_rows(
    fitted_copy: Path, tmp_path: Path, open_tab: Callable[..., Tab]
) -> None:
    """Images that come first by name shift all rows: nothing may show those of before."""
    photos = Path(shutil.copytree(load_run(fitted_copy).info.source.uri, tmp_path / "photos"))
    relocate_run(fitted_copy, open_source(photos))
    server = Server(fitted_copy)
    tab = open_tab(server)
    tab.page.click("[data-view=all]")
    tab.page.select_option("#order", "name")
    assert len(tab.tiles()) == 36
    tab.page.click("#show-map")
    tab.painted()
    for i in range(5):
        draw("noise", 50 + i, (20, 20)).save(photos / f"a{i}.png")
    embed_run(open_source(photos), fitted_copy, views=1, device="cpu")
    assert server.ask("/api/state")[1]["images"] == 36  # embedded, but not fitted
    fit_run(load_run(fitted_copy), 3, device="cpu")
    tab.page.wait_for_selector("#again")
    assert "41 images, 3 groups" in tab.page.inner_text("#again")
    tab.painted()
    (label,) = tab.page.eval_on_selector_all(
        "#map-canvas canvas[aria-label]", "all => all.map(c => c.getAttribute('aria-label'))"
    )
    assert "Map of 41 images" in label
    tab.page.click("#show-grid")
    shown = tab.tiles()
    assert [path for path in shown if path.startswith("a")] == [f"a{i}.png" for i in range(5)]
    tab.until("[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth)")
    sizes = tab.page.eval_on_selector_all(
        ".tile", "all => all.map(t => [t.title.split('\\n')[0], t.firstChild.naturalWidth])"
    )
    assert {width for path, width in sizes if path.startswith("a")} == {20}
    assert 20 not in {width for path, width in sizes if not path.startswith("a")}
    server.kill()


def test_a_moved_source_is_taken_up_without_a_notice(
    fitted_copy: Path, tmp_path: Path, open_tab: Callable[..., Tab]
) -> None:
    photos = Path(shutil.copytree(load_run(fitted_copy).info.source.uri, tmp_path / "photos"))
    relocate_run(fitted_copy, open_source(photos))
    moved = photos.rename(tmp_path / "elsewhere")
    server = Server(fitted_copy)
    tab = open_tab(server)
    assert "are gone" in tab.page.inner_text("#banners")
    relocate_run(fitted_copy, open_source(moved))
    tab.until("document.querySelector('#banners').textContent === ''")
    tab.until("[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth)")
    server.kill()
