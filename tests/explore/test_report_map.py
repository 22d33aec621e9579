"""The map of the report under a real pointer, a real finger and real keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from headlight.explore import write_report
from headlight.explore.palette import palette
from headlight.runs import Run, load_run
from tests.conftest import rewrite_info
from tests.explore.conftest import Opened, drawn
from tests.explore.handmade import handmade_run, replace_assignments

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (40, 60, 220)}


def place(run: Run, xy: np.ndarray) -> Run:
    """The run with its images at other places of the map."""
    table = run.assignments
    for name, values in zip(("map_x", "map_y"), xy.T.astype(np.float32), strict=True):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    return replace_assignments(run, table)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three clusters of three images, each of one colour, at the corners of a triangle."""
    folder = tmp_path_factory.mktemp("coloured")
    (folder / "photos").mkdir()
    names = {kind: [f"{kind} {i}.png" for i in range(3)] for kind in COLOURS}
    for kind, paths in names.items():
        for path in paths:
            Image.new("RGB", (80, 80), COLOURS[kind]).save(folder / "photos" / path)
    run = handmade_run(folder / "run", folder / "photos", names)
    corner = {"red": (0, 0), "green": (10, 0), "blue": (5, 8)}
    xy = [corner[path.split()[0]] for path in run.assignments["path"].to_pylist()]
    return place(run, np.array(xy) + np.linspace(0, 0.01, len(xy))[:, None])


@pytest.fixture(scope="module")
def report(coloured: Run) -> Path:
    return write_report(coloured)


def ready(page: Any) -> None:
    page.wait_for_selector("html[data-ready=map]", state="attached", timeout=20_000)
    page.evaluate(
        "document.getElementById('map').scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    drawn(page)


def where(page: Any, cluster: int) -> tuple[float, float]:
    """Middle of a cluster's points on the page, found by their colour in the canvas."""
    rgb = [int(palette(3)[cluster][i : i + 2], 16) for i in (1, 3, 5)]
    x, y, count = page.evaluate(
        """rgb => {
        const canvas = document.querySelector('#map canvas[aria-hidden]:not(#map-tip canvas)');
        const {data, width} = canvas.getContext('2d')
            .getImageData(0, 0, canvas.width, canvas.height);
        let [x, y, n] = [0, 0, 0];
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] > 10 && rgb.every((v, c) => Math.abs(data[i + c] - v) < 12)) {
                x += i / 4 % width; y += Math.floor(i / 4 / width); n++;
            }
        }
        const box = canvas.getBoundingClientRect(), scale = box.width / canvas.width;
        return [box.left + x / n * scale, box.top + y / n * scale, n]; }""",
        rgb,
    )
    assert count > 0
    return x, y


def strength(page: Any) -> list[int]:
    """Most opaque pixel of each cluster's colour."""
    return page.evaluate(
        """colours => {
        const canvas = document.querySelector('#map canvas[aria-hidden]:not(#map-tip canvas)');
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return colours.map(text => {
            const rgb = [1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16));
            let most = 0;
            for (let i = 0; i < data.length; i += 4) {
                if (rgb.every((v, c) => Math.abs(data[i + c] - v) < 12))
                    most = Math.max(most, data[i + 3]);
            }
            return most; }); }""",
        palette(3),
    )


def tip_colour(page: Any) -> tuple[int, ...]:
    pixel = """() => { const c = document.querySelector('#map-tip canvas');
        return [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]; }"""
    return tuple(page.evaluate(pixel)[:3])


def test_hover_shows_the_picture_and_the_name_and_leaving_hides_them(
    report: Path, open_report: Callable[..., Opened]
) -> None:
    seen = open_report(report)
    page = seen.page
    ready(page)
    tip = page.locator("#map-tip")
    for cluster, (kind, colour) in enumerate(COLOURS.items()):
        page.mouse.move(*where(page, cluster))
        assert tip.is_visible()
        assert np.abs(np.subtract(tip_colour(page), colour)).max() < 16
        assert tip.locator(".name").inner_text() == kind
        assert tip.locator(".path").inner_text().startswith(f"{kind} ")
        assert tip.locator(".note").inner_text() == ""
    page.mouse.move(5, 5)
    assert tip.is_hidden()
    # The browser minds that this test reads pixels back.
    assert [words for words in seen.complaints if "getImageData" not in words] == []


def test_click_jumps_to_the_card_and_highlights_the_cluster(
    report: Path, open_report: Callable[..., Opened]
) -> None:
    page = open_report(report).page
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    ready(page)
    before = strength(page)
    page.mouse.click(*where(page, 2))
    drawn(page)
    assert page.evaluate("location.hash") == "#cluster-2"
    card = page.locator("#cluster-2")
    assert "chosen" in card.get_attribute("class")
    box = card.bounding_box()
    assert box["y"] < 844
    assert box["y"] + box["height"] > 0
    after = strength(page)
    assert after[2] >= before[2]
    assert max(after[:2]) < 0.6 * min(before[:2])
    page.click("#map-clear")
    drawn(page)
    assert strength(page) == before


def test_a_card_shows_its_cluster_on_the_map(
    report: Path, open_report: Callable[..., Opened]
) -> None:
    page = open_report(report).page
    ready(page)
    before = strength(page)
    page.click("#cluster-1 [data-on-map]")
    drawn(page)
    after = strength(page)
    assert after[1] >= before[1]
    assert after[0] < 0.6 * before[0]
    assert page.inner_text("#map-clear") == "Show all, not only green"


def test_points_without_a_picture_show_their_name_and_the_nearest_picture(
    coloured: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_report: Callable[..., Opened],
) -> None:
    monkeypatch.setattr("headlight.explore.report.map_points.CELLS", 3)
    page = open_report(write_report(coloured, tmp_path / "few.html")).page
    ready(page)
    assert "3 points have a picture" in page.inner_text("#map-section")
    # The three points of a corner lie at nearly the same place: zoomed, they part.
    names, notes = set(), set()
    page.mouse.move(*where(page, 0))
    for _ in range(14):
        page.click("#map-in")
    page.evaluate("window.scrollTo(0, 0)")
    ready(page)
    box = page.locator("#map").bounding_box()
    for x in np.linspace(0.05, 0.95, 12):
        for y in np.linspace(0.05, 0.95, 10):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if page.locator("#map-tip").is_visible():
                names.add(page.inner_text("#map-tip .path"))
                notes.add(page.inner_text("#map-tip .note"))
    page.click("#map-reset")
    drawn(page)
    for cluster in range(3):
        page.mouse.move(*where(page, cluster))
        names.add(page.inner_text("#map-tip .path"))
        notes.add(page.inner_text("#map-tip .note"))
        # The nearest picture is one of the same corner.
        assert np.abs(np.subtract(tip_colour(page), list(COLOURS.values())[cluster])).max() < 16
    assert all(name.endswith(".png") for name in names)
    assert notes <= {"", "no picture here: the nearest image that has one"}


def test_keys_zoom_move_and_reset(report: Path, open_report: Callable[..., Opened]) -> None:
    page = open_report(report).page
    ready(page)
    start = where(page, 1)
    page.locator("#map canvas[role=application]").focus()
    page.keyboard.press("-")
    drawn(page)
    out = where(page, 1)
    page.keyboard.press("0")
    page.keyboard.press("ArrowRight")
    drawn(page)
    right = where(page, 1)
    page.keyboard.press("0")
    drawn(page)
    assert where(page, 1) == start
    assert out[0] < start[0] - 20
    assert right[0] == pytest.approx(start[0] - 60, abs=1)


def test_wheel_zooms_only_a_map_that_has_the_focus(
    report: Path, open_report: Callable[..., Opened]
) -> None:
    page = open_report(report).page
    ready(page)
    box = page.locator("#map").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    scrolled = page.evaluate("scrollY")
    page.mouse.move(*middle)
    page.mouse.wheel(0, 100)
    further = """least => new Promise(done => {
        const look = () => scrollY > least ? done(true) : requestAnimationFrame(look);
        look();
    })"""
    assert page.evaluate(further, scrolled)
    ready(page)
    page.locator("#map canvas[role=application]").focus()
    before, scrolled = where(page, 0), page.evaluate("scrollY")
    page.mouse.wheel(0, 100)
    while where(page, 0)[0] <= before[0] + 10:
        drawn(page)
    assert page.evaluate("scrollY") == scrolled


def test_a_finger_gets_the_picture_first_and_the_card_by_a_button(
    browser: Any, report: Path
) -> None:
    context = browser.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(report.as_uri())
    ready(page)
    page.touchscreen.tap(*where(page, 1))
    drawn(page)
    assert page.inner_text("#map-tip .name") == "green"
    assert page.evaluate("location.hash") == ""
    for _ in range(
        100
    ):  # at first the button is not pressed yet, for the finger may still lie there
        page.tap("#map-tip button")
        if page.evaluate("location.hash"):
            break
    assert page.evaluate("location.hash") == "#cluster-1"
    ready(page)
    page.tap("#map", position={"x": 12, "y": 12})
    assert page.locator("#map-tip").is_hidden()
    context.close()


def test_without_javascript_everything_but_the_map_is_there(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("article").count() == 3
    assert page.locator("#map-section").is_hidden()
    assert page.locator("#sort").is_hidden()
    assert "need JavaScript" in page.inner_text("main")
    context.close()


def test_points_of_images_that_have_gone_still_have_their_names(
    coloured: Run, tmp_path: Path, open_report: Callable[..., Opened]
) -> None:
    folder = Path(shutil.copytree(coloured.path, tmp_path / "run"))
    rewrite_info(folder, lambda info: info["source"].update(uri=str(tmp_path / "moved")))
    seen = open_report(write_report(load_run(folder)))
    ready(seen.page)
    assert seen.complaints == []
    seen.page.mouse.move(*where(seen.page, 2))
    assert seen.page.inner_text("#map-tip .path").startswith("blue ")
    assert seen.page.inner_text("#map-tip .note") == "no picture"
    assert seen.page.locator("#map-tip canvas").is_hidden()


def test_cards_sort_by_what_is_chosen(report: Path, open_report: Callable[..., Opened]) -> None:
    page = open_report(report).page
    ready(page)
    page.select_option("#sort", "name")
    names = [name.strip() for name in page.locator("article h3").all_text_contents()]
    assert names == ["blue", "green", "red"]


def test_a_map_of_a_hundred_thousand_images_stays_small_and_opens(
    tmp_path: Path, open_report: Callable[..., Opened]
) -> None:
    rng = np.random.default_rng(0)
    names = [f"{rng.integers(2**62):016x}/{i}.jpg" for i in range(100_000)]  # hardly compressible
    clusters = {f"c{k}": names[k::20] for k in range(20)}
    photos = tmp_path / "photos"
    photos.mkdir()
    run = handmade_run(tmp_path / "run", photos, clusters)
    report = write_report(place(run, rng.normal(size=(100_000, 2))))
    assert report.stat().st_size < 15e6
    page = open_report(report).page
    ready(page)
    page.mouse.move(*where(page, 0))
    label = page.get_attribute("#map canvas[role=application]", "aria-label")
    assert label.startswith("Map of 100000 images in 20 clusters")
