"""The map module by itself, in a real browser: lasso, selection, painting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headlight.explore.report.script import joined
from tests.explore.conftest import drawn

BLUE, RED = "#2244ee", "#dd2222"


@pytest.fixture
def page(browser: Any) -> Any:
    modules = joined("picker.js", "points.js", "map.js")
    page = browser.new_page(viewport={"width": 700, "height": 500})
    page.set_content(
        '<!doctype html><body style="margin:0"><div id="map" style="width:600px;height:400px">'
        f"</div><script>{modules}\n"
        "Object.assign(window, {createMap, paintPoints, Picker})</script>"
    )
    yield page
    page.close()


def show(page: Any, x: np.ndarray, y: np.ndarray, cluster: np.ndarray) -> None:
    page.evaluate(
        """([x, y, cluster, colours]) => {
        window.seen = [];
        const say = kind => (...args) => window.seen.push([kind, ...args.map(
            a => a?.length === undefined ? a : [...a])]);
        window.map = createMap(document.getElementById('map'), {
            x: Float32Array.from(x), y: Float32Array.from(y), cluster: Uint16Array.from(cluster),
            colours, names: ['a', 'b'], lasso: true,
            onSelect: say('select'), onClick: say('click')}); }""",
        [x.tolist(), y.tolist(), cluster.tolist(), [BLUE, RED]],
    )
    drawn(page)


def colours(page: Any) -> dict[str, int]:
    """How many pixels are blue, red, and faded."""
    return page.evaluate("""() => {
        const canvas = document.querySelector('canvas');
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const count = {blue: 0, red: 0, faded: 0};
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] > 150) count[data[i] > data[i + 2] ? 'red' : 'blue']++;
            else if (data[i + 3] > 5 && data[i + 3] < 60) count.faded++;
        }
        return count; }""")


def test_lasso_gives_exactly_the_points_inside(page: Any) -> None:
    grid = np.stack(np.meshgrid(np.arange(10.0), np.arange(7.0)), -1).reshape(-1, 2)
    show(page, *grid.T, np.zeros(len(grid), int))
    # 34 pixels stay free on all sides; the grid is 9 by 6 in 532 by 332.
    scale = min(532 / 9, 332 / 6)
    left, top = (600 - 9 * scale) / 2, (400 - 6 * scale) / 2
    corners = [(1.5, 1.5), (5.5, 1.5), (5.5, 3.5), (1.5, 5.5)]
    page.keyboard.down("Shift")
    page.mouse.move(left + corners[0][0] * scale, top + corners[0][1] * scale)
    page.mouse.down()
    for a, b in corners[1:]:
        page.mouse.move(left + a * scale, top + b * scale, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    ((kind, found, how),) = page.evaluate("seen")
    x, y = grid.T
    inside = (x > 1.5) & (x < 5.5) & (y > 1.5) & (y - 5.5 < -(x - 1.5) / 2)
    assert kind == "select"
    assert found == np.flatnonzero(inside).tolist()
    assert how == {"add": False}


def test_click_names_the_point_and_drag_does_not(page: Any) -> None:
    show(page, np.array([0.0, 1.0]), np.array([0.0, 0.0]), np.array([0, 1]))
    page.mouse.click(34 + 532, 200)
    assert page.evaluate("seen") == [["click", 1, {"pointer": "mouse"}]]
    page.mouse.move(34 + 532, 200)
    page.mouse.down()
    page.mouse.move(300, 250, steps=4)
    page.mouse.up()
    assert len(page.evaluate("seen")) == 1


def test_highlight_selection_and_new_clusters_show(page: Any) -> None:
    rng = np.random.default_rng(0)
    show(page, *rng.normal(size=(2, 60)), np.arange(60) % 2)
    both = colours(page)
    assert min(both["blue"], both["red"]) > 100
    page.evaluate("map.highlight(1)")
    drawn(page)
    lit = colours(page)
    assert lit["blue"] < 30 < lit["red"]
    assert lit["faded"] > 100
    page.evaluate("map.highlight(null); map.select([0, 2, 4])")
    drawn(page)
    chosen = colours(page)
    assert 0 < chosen["blue"] < both["blue"] / 3
    page.evaluate("map.select([]); map.setClusters(new Uint16Array(60))")
    drawn(page)
    assert colours(page)["red"] == 0
    page.evaluate("map.destroy()")
    assert page.locator("canvas").count() == 0


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (2, 1), (50, 2), (3000, 3)])
def test_nearest_and_inside_agree_with_trying_every_point(page: Any, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xy = rng.normal(size=(n, 2)).astype(np.float32)
    asked = rng.normal(size=(100, 2)) * 1.5
    polygon = rng.normal(size=(7, 2))
    found, inside = page.evaluate(
        """([x, y, asked, polygon]) => {
        const picker = new Picker(Float32Array.from(x), Float32Array.from(y));
        const near = asked.map(([a, b]) => picker.nearest(a, b, 0.3));
        return [near, [...picker.inside(polygon)]]; }""",
        [*xy.T.tolist(), asked.tolist(), polygon.tolist()],
    )
    distance = np.linalg.norm(asked[:, None] - xy[None], axis=2)
    expected = np.where(distance.min(1) <= 0.3, distance.argmin(1), -1)
    assert found == expected.tolist()
    odd = np.zeros(n, bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, 1, 0), strict=True):
        crosses = (ay > xy[:, 1]) != (by > xy[:, 1])
        odd ^= crosses & (xy[:, 0] < ax + (xy[:, 1] - ay) / (by - ay) * (bx - ax))
    assert inside == np.flatnonzero(odd).tolist()


def test_no_points_and_one_place_are_no_trouble(page: Any) -> None:
    for n in (0, 1, 5):
        show(page, np.zeros(n), np.zeros(n), np.zeros(n, int))
        page.evaluate("map.zoom(2); map.resetView()")
        drawn(page)
        assert (colours(page)["blue"] > 0) == (n > 0)
        page.evaluate("map.destroy()")


def test_every_one_of_a_hundred_thousand_points_is_painted(page: Any) -> None:
    missing = page.evaluate("""() => {
        const [across, down, apart] = [400, 250, 3];
        const x = Float32Array.from({length: across * down}, (_, i) => i % across);
        const y = Float32Array.from(x, (_, i) => Math.floor(i / across));
        const [width, height] = [across * apart, down * apart];
        const canvas = Object.assign(document.createElement('canvas'), {width, height});
        paintPoints(canvas, {x, y, cluster: new Uint16Array(x.length), colours: ['#2244ee'],
            lit: null, selected: null, left: -0.5, top: -0.5, scale: apart, radius: 1.1});
        const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
        const there = (i) => {
            for (let p = 0; p < apart * apart; p++) {
                const row = y[i] * apart + Math.floor(p / apart);
                if (data[4 * (row * width + x[i] * apart + p % apart) + 3]) return true;
            }
        };
        return [...x.keys()].filter(i => !there(i)).length; }""")
    assert missing == 0
