"""What an update has brought, in the app: marked until somebody has looked at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from headlight.cli.commands import app
from headlight.review.review import review
from headlight.runs import Run, load_run
from headlight.runs.tables import JOINED, PROPOSED
from tests.conftest import draw
from tests.explore.handmade import handmade_run, replace_assignments
from tests.explore.serving import Server
from tests.explore.tab import Tab

pytest.importorskip("starlette", reason="the review app (pip install 'headlight-images[explore]')")
pytest.importorskip("uvicorn", reason="the review app (pip install 'headlight-images[explore]')")

FIRST, SECOND = (datetime(2026, 5, day, 14, 2, tzinfo=UTC) for day in (3, 9))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two updates: a cat, then a dog and five birds, for which it proposes two groups."""
    photos = tmp_path / "photos"
    photos.mkdir()
    clusters = {
        "cats": [f"cat{i}.jpg" for i in range(8)],
        "dogs": [f"dog{i}.jpg" for i in range(6)],
        "new-2": [f"bird{i}.jpg" for i in range(3)],
        "new-3": [f"fish{i}.jpg" for i in range(2)],
    }
    paths = sorted(path for some in clusters.values() for path in some)
    for i, path in enumerate(paths):
        draw("disc", i, (120, 90)).save(photos / path)
    run = handmade_run(tmp_path / "r.headlight", photos, clusters)
    came = {"cat7.jpg": FIRST, "dog5.jpg": SECOND}
    came |= {path: SECOND for path in paths if path.startswith(("bird", "fish"))}
    joined = pa.array([came.get(path) for path in paths], pa.timestamp("s", "UTC"))
    run = replace_assignments(run, run.assignments.append_column(JOINED, joined))
    proposed = pa.array([False, False, True, True])
    return replace_assignments(run, run.clusters.append_column(PROPOSED, proposed), "clusters")


@pytest.fixture
def server(run: Run) -> Iterator[Server]:
    found = Server(run.path)
    yield found
    found.kill()


def entries(tab: Tab) -> list[str]:
    return tab.page.eval_on_selector_all(
        "#clusters [data-cluster] .words", "all => all.map(e => e.textContent)"
    )


def new_ones(tab: Tab) -> str:
    return tab.page.locator("[data-view=new] .size").inner_text()


def test_new_images_are_marked_until_somebody_has_looked_at_them(
    run: Run, server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    assert new_ones(tab) == "7"
    assert "1 new" in tab.page.locator("[data-cluster='0']").inner_text()
    tab.go("cats")
    tab.tiles()
    marked = """all => all.map(e => [
        e.title.split('\\n')[0], getComputedStyle(e.querySelector('.note')).opacity])"""
    assert tab.page.eval_on_selector_all(".tile.new", marked) == [["cat7.jpg", "1"]]
    tab.press("e")
    tab.until("document.querySelectorAll('.tile.new').length === 0")
    assert new_ones(tab) == "6"
    assert "new" not in tab.page.locator("[data-cluster='0']").inner_text()
    tab.press("e")
    assert "Nothing here is new" in tab.say()
    tab.page.click("[data-view=new]")
    tab.name("New images")
    assert tab.page.url.endswith("#new")
    assert sorted(tab.tiles()) == [
        *(f"bird{i}.jpg" for i in range(3)), "dog5.jpg", "fish0.jpg", "fish1.jpg"
    ]  # fmt: skip
    place = tab.tiles().index("dog5.jpg")
    tab.tile(place).click()
    tab.press("e")
    tab.until("document.querySelector('#about').textContent.startsWith('5 images')")
    assert "dog5.jpg" not in tab.tiles()
    tab.page.click("#acts [data-act=seen]")
    tab.until("document.querySelector('#empty').textContent.includes('Nothing is new')")
    assert not review(load_run(run.path)).unseen.any()
    for left in ("5", "6", "7"):
        tab.press("u")
        tab.until(f"document.querySelector('[data-view=new] .size').textContent === '{left}'")
    assert tab.complaints == []


def test_what_came_since_an_update_can_be_seen(
    server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    assert tab.page.locator("#since").is_hidden()
    tab.page.click("[data-view=new]")
    tab.name("New images")
    texts = tab.page.locator("#since option").all_inner_texts()
    assert [text.rpartition(": ")[2] for text in texts] == ["7", "6", "7"]
    assert "9 May 2026" in texts[1]
    tab.page.click("#acts [data-act=seen]")
    tab.until("document.querySelector('#empty').textContent.includes('Nothing is new')")
    tab.page.locator("#since").select_option(index=1)
    tab.until("document.querySelector('#about').textContent.startsWith('6 images')")
    assert "cat7.jpg" not in tab.tiles()
    tab.page.locator("#since").select_option(index=2)
    tab.until("document.querySelector('#about').textContent.startsWith('7 images')")
    assert "cat7.jpg" in tab.tiles()


def test_a_proposed_group_is_accepted_dismissed_renamed_or_merged(
    run: Run, server: Server, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(server)
    assert entries(tab) == ["new-2", "new-3", "cats", "dogs"]  # what waits for an answer first
    assert tab.page.locator("#clusters .badge").count() == 2
    tab.go("cats")
    tab.press("a")
    assert "no proposed cluster" in tab.say()
    assert tab.page.locator("#acts [data-act=accept]").count() == 0
    tab.go("new-2")
    tab.page.click("#acts [data-act=accept]")
    tab.until("document.querySelectorAll('.badge').length === 1")
    assert new_ones(tab) == "4"
    tab.press("u")
    tab.until("document.querySelectorAll('.badge').length === 2")
    tab.press("r")
    tab.answer("birds", "Rename")
    tab.until("document.querySelectorAll('.badge').length === 1")
    tab.go("new-3")
    tab.press("x")
    tab.until("document.querySelectorAll('[data-cluster]').length === 3")
    now = review(load_run(run.path))
    assert (now.names, now.proposed) == ({0: "cats", 1: "dogs", 2: "birds"}, set())
    paths = np.array(run.assignments["path"].to_pylist())
    assert paths[now.outlier].tolist() == ["fish0.jpg", "fish1.jpg"]
    assert tab.page.locator("[data-view=outliers] .size").inner_text() == "2"
    tab.press("u")
    tab.until("document.querySelectorAll('.badge').length === 1")
    tab.go("new-3")
    tab.press("g")
    tab.page.fill("dialog input", "birds")
    tab.press("Enter")
    tab.wait_for({"cats": 8, "dogs": 6, "birds": 5})
    assert tab.complaints == []


def test_a_run_without_updates_has_nothing_new(
    tmp_path: Path, open_tab: Callable[..., Tab]
) -> None:
    (tmp_path / "p").mkdir()
    server = Server(handmade_run(tmp_path / "old", tmp_path / "p", {"a": ["1"], "b": ["2"]}).path)
    tab = open_tab(server)
    assert tab.page.locator("[data-view=new]").count() == 0
    assert server.ask("/api/seen", {"rows": [0]})[0] == 409
    assert server.ask("/api/seen", {"cluster": 0})[0] == 409
    assert server.ask("/api/accept", {"cluster": 0})[0] == 409
    assert server.ask("/api/dismiss", {"cluster": 7})[0] == 409
    server.kill()


def test_commands_do_the_same_without_a_browser(run: Run) -> None:
    def edit(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["edit", str(run.path), *arguments])
        assert done.exit_code == code, done.output
        return done.output

    edit("accept", "new-2")
    assert "not a proposed group" in edit("accept", "new-2", code=1)
    now = review(load_run(run.path))
    assert (now.proposed, int(now.unseen.sum())) == ({3}, 4)
    edit("dismiss", "3")
    now.refresh()
    fish = np.array([path.startswith("fish") for path in run.assignments["path"].to_pylist()])
    assert 3 not in now.names
    assert now.outlier.tolist() == fish.tolist()
    assert set(now.labels[fish].tolist()) <= {0, 1, 2}
    assert not now.proposed
    edit("undo")
    now.refresh()
    assert (now.proposed, now.outlier.any()) == ({3}, False)
    edit("seen", "cats")
    now.refresh()
    assert int(now.unseen.sum()) == 3
    edit("seen")
    now.refresh()
    assert not now.unseen.any()
    assert "looked at already" in edit("seen", code=1)
