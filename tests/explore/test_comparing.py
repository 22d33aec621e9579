"""The page that shows the run beside another of its fits, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from headlight.review import Review
from headlight.review.comparing import Comparison, compare
from headlight.review.log import mark_outliers, move, rename
from headlight.review.review import review
from headlight.runs import Run, fit_run, load_run, restore_fit, run_at
from tests.conftest import draw
from tests.explore.handmade import FIT, handmade_fit, handmade_run
from tests.explore.serving import Server
from tests.explore.tab import Tab

pytest.importorskip("starlette", reason="the review app (pip install 'headlight-images[explore]')")
pytest.importorskip("uvicorn", reason="the review app (pip install 'headlight-images[explore]')")

OTHER = "fedcba9876543210"
HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"


def two_fits(folder: Path) -> Run:
    """Now: cats with two dogs, dogs, cars. There: felines, big and small dogs, cars, a boat."""
    photos = folder / "photos"
    photos.mkdir()
    cats, dogs, cars = ([f"{kind}{i}.jpg" for i in range(8)] for kind in ("cat", "dog", "car"))
    for i, path in enumerate([*cats, *dogs, *cars]):
        draw("disc", i, (120, 90)).save(photos / path)
    there = {"cars": cars[:7], "felines": cats, "big": dogs[:3], HOSTILE: dogs[3:], "boat": ["x"]}
    now = {"cats": [*cats, *dogs[:2]], "dogs": dogs[2:], "cars": cars}
    run = handmade_run(folder / "r.headlight", photos, there)
    return handmade_fit(run, OTHER, now)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return two_fits(tmp_path)


@pytest.fixture
def server(run: Run) -> Iterator[Server]:
    found = Server(run.path)
    yield found
    found.kill()


def compared(run: Run, other: str) -> Comparison:
    return compare(review(load_run(run.path)), Review(run_at(run, other)))


def opened(tab: Tab) -> None:
    tab.page.click("#compare")
    tab.until("document.querySelector('#comparing').dataset.drawn")


def lines(tab: Tab) -> list[str]:
    return tab.page.eval_on_selector_all(
        ".flow", "all => all.map(e => [...e.querySelectorAll('.words, .size')]"
        ".map(p => p.textContent).join(' | '))"
    )  # fmt: skip


def drawn(tab: Tab, run: Run) -> None:
    """Waits until the page shows what is on the disk now."""
    version = review(load_run(run.path)).version
    tab.until(f"document.querySelector('#comparing').dataset.drawn.endsWith(' {version}')")


def test_flows_are_shown_with_their_images(
    run: Run, server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    opened(tab)
    assert tab.page.inner_text("#compare-says") == compared(run, FIT).sentence
    assert tab.page.inner_text("#compare-says").startswith(
        "3 groups → 5: 2 stay, 1 splits into 2, 1 is new; 3 of 23 images change group"
    )
    assert lines(tab) == [
        "cats | big | 2 images",
        "dogs | big | 1 image",
        "cars | not in that fit | 1 image",
        "only in that fit | boat | 1 image",
    ]
    assert tab.page.locator(".body").is_hidden()
    assert tab.page.locator(".flow input:enabled").count() == 2
    bands = tab.page.locator(".band:not(.stays)")
    assert bands.count() == 4
    assert tab.page.locator(".band.stays").count() == 3
    tab.until("[...document.querySelectorAll('.flow img')].every(i => i.naturalWidth)")
    titles = tab.page.eval_on_selector_all(".band title", "all => all.map(e => e.textContent)")
    band = tab.page.locator(".band").nth(titles.index("cats → big: 2"))
    band.dispatch_event("click")
    tab.until("document.querySelectorAll('.flow.opened .flow-images img').length === 2")
    assert band.evaluate("e => e.classList.contains('opened')")
    rows = tab.page.eval_on_selector_all(
        ".flow-images img", "all => all.map(e => Number(e.dataset.face))"
    )
    paths = run.assignments["path"].to_pylist()
    assert [paths[row] for row in rows] == ["dog0.jpg", "dog1.jpg"]
    tab.page.click(".flow-images button")
    tab.name("cats → big")
    assert tab.tiles() == ["dog0.jpg", "dog1.jpg"]
    assert tab.page.locator("#comparing").is_hidden()
    assert tab.page.title() == "photos · headlight"
    assert tab.complaints == []


def test_what_is_ticked_is_taken_over_as_one_edit(
    run: Run, server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    opened(tab)
    assert tab.page.locator("#compare-take").is_disabled()
    tab.page.locator(".flow input").first.check()
    assert tab.page.inner_text("#compare-count") == "2 images would move"
    assert tab.page.locator(".band.ticked").count() == 1
    tab.page.click("#compare-take")
    tab.until("document.querySelector('#toast').textContent.includes('taken over')")
    now = review(load_run(run.path))
    assert (now.names[3], now.n_edits, now.by_hand.any()) == ("big", 1, False)
    paths = np.array(run.assignments["path"].to_pylist())
    assert sorted(paths[now.labels == 3]) == ["dog0.jpg", "dog1.jpg"]
    drawn(tab, run)
    # "big" is a group of both now, so its last image goes to that one.
    assert lines(tab)[0] == "dogs | big | 1 image"
    tab.page.click("#compare-tick")
    tab.page.click("#compare-take")
    drawn(tab, run)
    tab.until("document.querySelectorAll('.flow input:enabled').length === 0")
    now = review(load_run(run.path))
    assert sorted(paths[now.labels == 3]) == ["dog0.jpg", "dog1.jpg", "dog2.jpg"]
    assert now.names == {0: "cats", 1: "dogs", 2: "cars", 3: "big"}
    assert compared(run, FIT).changed == 0
    tab.press("u")
    tab.press("u")
    tab.until("document.querySelector('#undo').disabled")
    assert review(load_run(run.path)).n_edits == 0
    drawn(tab, run)
    assert len(lines(tab)) == 4


def test_images_placed_by_hand_stay(run: Run, server: Server, open_tab: Callable[..., Tab]) -> None:
    paths = run.assignments["path"].to_pylist()
    now = review(run)
    now.edit(move({0: np.array([paths.index("dog0.jpg")])}))
    now.edit(move({1: np.array([paths.index("dog2.jpg")])}))
    now.edit(mark_outliers(np.array([paths.index("dog1.jpg")]), True))
    tab = open_tab(server)
    opened(tab)
    assert lines(tab)[:2] == [
        "cats | big | 2 images · 1 placed by hand stays",
        "dogs | big | 1 image",
    ]
    assert tab.page.locator(".flow input:enabled").count() == 1  # of dogs all would stay
    tab.page.click("#compare-tick")
    assert tab.page.inner_text("#compare-count") == "1 image would move"
    tab.page.click("#compare-take")
    tab.until("document.querySelector('#toast').textContent.includes('1 image taken over')")
    now = review(load_run(run.path))
    assert [paths[row] for row in np.flatnonzero(now.labels == 3)] == ["dog1.jpg"]
    assert now.outlier[paths.index("dog1.jpg")]
    fit = {"fit": FIT, "version": now.version}
    status, answer = server.ask("/api/compare/take", {**fit, "flows": [[1, 2]]})
    assert (status, "by hand" in answer["error"]) == (409, True)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("take", {"fit": FIT, "version": 99, "flows": [[0, 2]]}, 409),
        ("take", {"fit": "none", "version": 0, "flows": [[0, 2]]}, 409),
        ("take", {"fit": FIT, "version": 0, "flows": [[0, 4]]}, 400),
        ("take", {"fit": FIT, "version": 0, "flows": [[2, None]]}, 400),
        ("take", {"fit": FIT, "version": 0, "flows": [[None, 4]]}, 400),
        ("take", {"fit": FIT, "version": 0, "flows": 3}, 400),
        ("take", {"fit": FIT, "version": 0, "flows": []}, 409),
        ("restore", {"fit": "../fits"}, 409),
        ("restore", {"fit": 3}, 400),
        ("restore", {}, 400),
    ],
)
def test_requests_that_make_no_sense_change_nothing(
    run: Run, server: Server, name: str, body: object, status: int
) -> None:
    answered, answer = server.ask(f"/api/compare/{name}", body)
    assert (answered, len(answer["error"]) > 10) == (status, True)
    after = server.ask("/api/state")[1]
    assert (after["edits"], after["fit"]) == (0, OTHER)
    assert server.ask("/api/compare?fit=none")[0] == 409
    assert server.ask(f"/api/compare/rows?fit={FIT}&before=&after=4")[0] == 400


def test_keys_of_what_is_out_of_sight_do_nothing(
    server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    tab.tile(0).click()
    opened(tab)
    for key in ("m", "o", "d", "r", "s", "n", "v", "j", "/"):
        tab.press(key)
        assert tab.page.locator("dialog").count() == 0
    assert server.ask("/api/state")[1]["edits"] == 0
    tab.press("Escape")
    tab.name("cats")
    assert tab.page.locator("#comparing").is_hidden()
    tab.open(f"{server.address}#compare")
    tab.page.reload()
    tab.until("document.querySelector('#comparing').dataset.drawn")


def test_going_back_to_a_fit_brings_its_edits_back_in_all_tabs(
    fitted_copy: Path, open_tab: Callable[..., Tab]
) -> None:
    first = load_run(fitted_copy)
    review(first).edit(rename(0, "mine"))
    second = fit_run(first, 4, device="cpu", set_aside=True)
    server = Server(fitted_copy)
    tab, other = open_tab(server), open_tab(server)
    opened(tab)
    assert tab.page.locator("#compare-fit option").count() == 1
    assert "1 name" in tab.page.locator("#compare-fit option").inner_text()
    tab.page.click("#compare-restore")
    tab.page.click("dialog button:text-is('Cancel')")
    assert load_run(fitted_copy).fit == second.fit
    tab.page.click("#compare-restore")
    tab.page.click("dialog button:text-is('Go back')")
    for one in (tab, other):
        one.page.wait_for_selector("#again")
        assert "went back to an earlier fit: 36 images, 3 groups" in one.page.inner_text("#again")
    assert load_run(fitted_copy).fit == first.fit
    assert "mine" in other.clusters()
    tab.until(f"document.querySelector('#comparing').dataset.drawn.startsWith('{second.fit.id}')")
    assert tab.page.inner_text("#compare-says") == compared(first, second.fit.id).sentence
    restore_fit(load_run(fitted_copy), second.fit.id)  # by another process
    tab.until(f"document.querySelector('#comparing').dataset.drawn.startsWith('{first.fit.id}')")
    server.kill()


def test_one_fit_has_nothing_to_compare(fitted_copy: Path, open_tab: Callable[..., Tab]) -> None:
    server = Server(fitted_copy)
    tab = open_tab(server)
    assert tab.page.locator("#compare").is_disabled()
    fit_run(load_run(fitted_copy), 2, device="cpu")
    tab.page.wait_for_selector("#compare:enabled")
    server.kill()


def test_a_hundred_groups_fit_light_and_dark_and_a_phone(
    tmp_path: Path, open_tab: Callable[..., Tab]
) -> None:
    (tmp_path / "photos").mkdir()
    paths = [f"{i:04d}.jpg" for i in range(3000)]
    there = {f"c{k}": paths[30 * k : 30 * k + 30] for k in range(100)}
    now = {f"a rather long name of group {k}": paths[k::60][:50] for k in range(60)}
    run = handmade_run(tmp_path / "r.headlight", tmp_path / "photos", there)
    server = Server(handmade_fit(run, OTHER, now).path)
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "dark")):
        tab = open_tab(server, viewport={"width": width, "height": 844}, color_scheme=scheme)
        opened(tab)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        outside = """[...document.querySelectorAll('#comparing *')].filter(e => e.checkVisibility()
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"""
        assert tab.page.evaluate(outside) == []
        assert tab.page.locator("#compare-take").bounding_box()["y"] < 844
        assert tab.page.locator("#flows").bounding_box()["height"] > 300
        assert len(lines(tab)) == 400
        if width > 390:
            assert tab.page.locator(".bands rect").count() == 160
            # No two names of a side overlap.
            tops = tab.page.eval_on_selector_all(
                ".bands text[text-anchor=end]", "all => all.map(e => e.getBoundingClientRect().top)"
            )
            assert len(tops) == 60
            assert min(np.diff(sorted(tops))) > 14
    server.kill()
