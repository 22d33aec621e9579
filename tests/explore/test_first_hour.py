"""The first hour of a new user: a folder clustered, reviewed in one sitting, and exported.

Each step once went wrong for a person who tried it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from headlight.review.log import EditLog, rename
from headlight.review.review import review
from headlight.runs import load_run
from tests.explore.conftest import drawn
from tests.explore.serving import Server
from tests.explore.tab import Tab

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

SHAPES = ("disc", "ring", "box", "bars", "checks", "cross")
PAPERS = {"by day": (246, 240, 226), "in der Nächt": (28, 34, 54)}
CLUSTERS = 12


def picture(shape: str, paper: tuple[int, int, int], seed: int) -> Image.Image:
    """One of six shapes on light or dark paper, never twice the same."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(120, 200, 2).tolist()
    shade = (np.array(paper) + rng.integers(-9, 9, 3)).tolist()
    image = Image.new("RGB", (width, height), tuple(shade))
    pen = ImageDraw.Draw(image)
    hue = 60 * SHAPES.index(shape) + int(rng.integers(0, 25))
    ink = f"hsl({hue}, 75%, {rng.integers(40, 60)}%)"
    r, step = int(rng.integers(30, 50)), int(rng.integers(10, 20))
    x, y = width // 2 + int(rng.integers(-8, 8)), height // 2 + int(rng.integers(-8, 8))
    box = (x - r, y - r, x + r, y + r)
    if shape == "disc":
        pen.ellipse(box, fill=ink)
    elif shape == "ring":
        pen.ellipse(box, outline=ink, width=r // 3)
    elif shape == "box":
        pen.rectangle(box, fill=ink)
    elif shape == "cross":
        pen.line((x - r, y - r, x + r, y + r), ink, r // 2)
        pen.line((x - r, y + r, x + r, y - r), ink, r // 2)
    else:
        for i in range(0, width, step):
            for j in range(0, height, step):
                if (i // step + (j // step if shape == "checks" else 0)) % 2:
                    pen.rectangle((i, j, i + step - 1, j + step - 1), fill=ink)
    return image


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `headlight cluster` makes of nested folders with spaces, umlauts and a broken file."""
    folder = tmp_path_factory.mktemp("hour")
    photos = folder / "my photos"
    for k, shape in enumerate(SHAPES):
        for i, (where, paper) in enumerate(PAPERS.items()):
            (photos / where / shape).mkdir(parents=True)
            for j in range(32 - 2 * k - i):
                image = picture(shape, paper, 1000 * k + 100 * i + j)
                image.save(photos / where / shape / f"{shape} {j:02d}.jpg")
    whole = (photos / "by day" / "disc" / "disc 00.jpg").read_bytes()
    (photos / "broken.jpg").write_bytes(whole[:900])
    run = folder / "my photos.headlight"
    command = [sys.executable, "-m", "headlight", "cluster", str(photos), "-o", str(run)]
    subprocess.run([*command, "-k", str(CLUSTERS), "--views", "0", "--quiet"], check=True)
    return run


SCROLL = "document.querySelector('#clusters').scrollTop"
IN_SIGHT = """(() => { const [a, b] = ['#clusters [aria-current]', '#clusters'].map(
    s => document.querySelector(s).getBoundingClientRect());
    return a.top >= b.top - 1 && a.bottom <= b.bottom + 1; })()"""


def test_the_first_hour(run: Path, open_tab: Callable[..., Tab], tmp_path: Path) -> None:
    EditLog(run, "f" * 16).append(rename(0, "of a fit before"))
    server = Server(run)
    tab = open_tab(server)
    page = tab.page
    notes_can_be_read(page)
    assert len(tab.clusters()) == CLUSTERS
    the_list_keeps_its_place(tab)
    enter_takes_what_is_highlighted_and_undo_selects_again(tab)
    keys_do_what_they_say_and_nothing_without_a_selection(tab, server)
    a_search_can_be_left(tab)
    the_bar_covers_nothing(tab)
    merging_keeps_the_name(tab)
    exports_say_what_they_make(tab, tmp_path)
    assert colours_in_the_report(run) == colours_in_the_list(page)
    other = open_tab(server)
    assert other.clusters() == tab.clusters()
    assert tab.complaints == other.complaints == []
    for one in (tab, other):
        assert one.in_time(lambda: any("/api/events" in url for url in one.requests))  # noqa: B023
    server.process.send_signal(signal.SIGINT)
    assert server.process.communicate(timeout=60) == ("", "")
    assert server.process.returncode == 0


def notes_can_be_read(page: Any) -> None:
    note = page.locator("#banners p")
    assert "earlier fit" in note.inner_text()
    assert note.evaluate("e => getComputedStyle(e).opacity") == "1"
    assert note.bounding_box()["height"] > 20


def the_list_keeps_its_place(tab: Tab) -> None:
    tab.page.locator("[data-cluster='9']").scroll_into_view_if_needed()
    place = tab.page.evaluate(SCROLL)
    assert place > 300
    tab.page.click("[data-cluster='9']")
    tab.name("cluster-09")
    assert tab.page.evaluate(SCROLL) == place
    tab.press("r")
    tab.answer("checks", "Rename")
    tab.name("checks")
    assert tab.page.evaluate(SCROLL) == place
    for _ in range(5):
        tab.press("k")
    tab.name("cluster-04")
    tab.until(IN_SIGHT)


def enter_takes_what_is_highlighted_and_undo_selects_again(tab: Tab) -> None:
    tab.press("r")
    tab.answer("Round things", "Rename")
    tab.name("Round things")
    tab.page.click("[data-cluster='10']")  # a smaller one
    tab.name("cluster-10")
    tab.press("r")
    tab.answer("Round", "Rename")
    tab.name("Round")
    tab.page.click("[data-cluster='6']")
    tab.name("cluster-06")
    before = tab.clusters()
    assert before["Round things"] > before["Round"]
    for place in (1, 2, 3):
        tab.tile(place).click(modifiers=["Control"])
    tab.press("m")
    tab.page.fill("dialog input", "no such")
    tab.press("Escape")
    tab.page.wait_for_selector("dialog", state="detached")
    tab.press("m")
    tab.page.fill("dialog input", "round")
    assert tab.page.locator("dialog .at .words").inner_text() == "Round"
    tab.press("Enter")
    tab.wait_for(before | {"Round": before["Round"] + 3, "cluster-06": before["cluster-06"] - 3})
    tab.press("u")
    tab.wait_for(before)
    tab.until("document.querySelectorAll('.tile.selected').length === 3")


def keys_do_what_they_say_and_nothing_without_a_selection(tab: Tab, server: Server) -> None:
    edits = server.ask("/api/state")[1]["edits"]
    tab.press("Escape")
    for key in ("o", "m", "n", "l"):
        tab.press(key)
        assert "Select images first" in tab.say()
    tab.press("Escape")
    held = {"ctrlKey": True, "altKey": True, "modifierAltGraph": True, "bubbles": True}
    tab.page.dispatch_event("body", "keydown", {"key": "]", **held})  # a German keyboard's
    tab.name("cluster-07")
    tab.press("[")
    tab.name("cluster-06")
    assert server.ask("/api/state")[1]["edits"] == edits


def a_search_can_be_left(tab: Tab) -> None:
    before = tab.clusters()
    tab.press("/")
    tab.page.keyboard.type("nächt/ring/ring 1")
    tab.press("Enter")
    tab.name("“nächt/ring/ring 1”")
    assert len(tab.tiles()) == 10
    assert tab.clusters() == before
    tab.press("Escape")
    tab.name("cluster-06")
    assert tab.page.input_value("#search") == ""


def lasso(tab: Tab, top: float, add: str = "") -> int:
    """How many images are selected by a lasso round all below ``top``, a share of the height."""
    box = tab.page.locator("#map-canvas").bounding_box()
    mouse, keys = tab.page.mouse, [key for key in ("Shift", add) if key]
    for key in keys:
        tab.page.keyboard.down(key)
    mouse.move(box["x"] + 1, box["y"] + top * box["height"] + 1)
    mouse.down()
    for x, y in ((1, top), (1, 1), (0, 1), (0, top)):
        across, down = 2 + x * (box["width"] - 4), 2 + y * (box["height"] - 4)
        mouse.move(box["x"] + across, box["y"] + down, steps=3)
    mouse.up()
    for key in keys:
        tab.page.keyboard.up(key)
    bar = tab.page.locator("#selected-count")
    return int(bar.inner_text().split()[0]) if bar.is_visible() else 0


def the_bar_covers_nothing(tab: Tab) -> None:
    page = tab.page
    page.click("#show-map")
    tab.painted()
    page.focus("#map-canvas canvas[tabindex]")
    height = page.locator("#map-canvas").bounding_box()["height"]
    for _ in range(4):
        tab.press("+")
    while not (low := lasso(tab, 0.97)):  # until there is an image right at the lower edge
        tab.press("ArrowUp")
    tab.until(f"document.querySelector('#map-canvas').clientHeight < {height}")
    drawn(page)
    assert 0 < low < lasso(tab, 0, add="Control") == lasso(tab, 0)  # it is still in sight
    bar, shown = (page.locator(s).bounding_box() for s in ("#selection", "#map-canvas"))
    assert bar["y"] >= shown["y"] + shown["height"] - 1
    page.click("[data-act=none]")
    page.click("#show-grid")
    page.click("[data-cluster='0']")
    tab.name("cluster-00")
    place = page.evaluate("""(() => { const grid = document.querySelector('#grid');
        grid.scrollTop = 200; return grid.scrollTop; })()""")
    tab.tile(15).click()
    assert page.locator("#selection").is_visible()
    assert page.evaluate("document.querySelector('#grid').scrollTop") == place > 0
    tab.press("Escape")


def merging_keeps_the_name(tab: Tab) -> None:
    before = tab.clusters()
    assert before["cluster-00"] > before["checks"]
    tab.page.click("[data-cluster='9']", modifiers=["Control"])
    tab.page.click("#merge-marked button")
    tab.name("checks")
    after = tab.clusters()
    assert after["checks"] == before["checks"] + before["cluster-00"]
    assert len(after) == CLUSTERS - 1


def exports_say_what_they_make(tab: Tab, folder: Path) -> None:
    tab.page.click("#export")
    text = tab.page.inner_text("dialog")
    assert "hard links" in text
    assert "changes the original too" in text
    tab.page.locator("dialog select").nth(1).select_option("copy")
    assert "changes the original too" not in tab.page.inner_text("dialog")
    tab.answer(str(folder / "copies"), "Export")
    tab.until("document.querySelector('#toast').textContent.includes(': 318 copies')")
    assert all(file.stat().st_nlink == 1 for file in folder.rglob("*.jpg"))


def colours_in_the_list(page: Any) -> dict[str, str]:
    return dict(
        page.eval_on_selector_all(
            "#clusters [data-cluster]",
            """all => all.map(e => [e.dataset.cluster, '#' +
                getComputedStyle(e.querySelector('.dot')).backgroundColor.match(/\\d+/g)
                .map(v => Number(v).toString(16).padStart(2, '0')).join('')])""",
        )
    )


def colours_in_the_report(run: Path) -> dict[str, str]:
    from headlight.explore import write_report

    html = write_report(load_run(run)).read_text("utf-8")
    found = re.findall(r'id="cluster-(\d+)"[^>]*style="--c:(#[0-9a-f]{6})"', html)
    assert len(found) == len(review(load_run(run)).names)
    return dict(found)
