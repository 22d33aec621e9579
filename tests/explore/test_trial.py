"""A review in the browser, and then the collection lives: the app shows what was done, always."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headlight.images import open_source
from headlight.review.review import review
from headlight.runs import Run, load_run, relocate_run
from tests.conftest import draw
from tests.explore.serving import Server
from tests.explore.tab import Tab

pytest.importorskip("starlette", reason="the review app (pip install 'headlight-images[explore]')")
pytest.importorskip("uvicorn", reason="the review app (pip install 'headlight-images[explore]')")


def headlight(*arguments: object) -> None:
    command = [sys.executable, "-m", "headlight", *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_what_was_done_in_the_browser_outlives_all_changes_of_the_folder(
    fitted: Run, fitted_copy: Path, tmp_path: Path, open_tab: Callable[..., Tab]
) -> None:
    photos = Path(shutil.copytree(fitted.info.source.uri, tmp_path / "photos"))
    path, chance = fitted_copy, random.Random(0)
    relocate_run(path, open_source(photos))
    server = Server(path)
    tab = open_tab(server)

    # The review: a group named, one split, an image moved, one marked, one group done.
    tab.go("cluster-0")
    tab.press("r")
    tab.answer("Round & <b>bold</b>", "Rename")
    tab.name("Round & <b>bold</b>")
    moved = tab.tiles()[0]
    tab.tile(0).click()
    tab.press("m")
    tab.page.fill("dialog input", "cluster-1")
    tab.press("Enter")
    tab.until("document.querySelector('#about').textContent.startsWith('11 images')")
    odd = tab.tiles()[0]
    tab.tile(0).click()
    tab.press("o")
    tab.page.wait_for_selector("[data-view=outliers] .size:text-is('1')")
    tab.go("cluster-2")
    tab.press("d")
    tab.until("document.querySelectorAll('#clusters .tick').length === 1")

    def kept() -> tuple[dict[int, str], set[int], set[int], list[int]]:
        now = review(load_run(path))
        names = {c: name for c, name in now.names.items() if c not in now.proposed}
        return names, now.done, set(now.labels[now.by_hand].tolist()), [int(now.outlier.sum())]

    before = kept()
    assert before == ({0: "Round & <b>bold</b>", 1: "cluster-1", 2: "cluster-2"}, {2}, {1}, [1])

    def in_the_page() -> None:
        """What the page shows is what the run holds, and that is what it was."""
        assert kept() == before
        now = review(load_run(path))
        sizes = dict(zip(*np.unique(now.labels, return_counts=True), strict=True))
        tab.wait_for({now.names[c]: int(n) for c, n in sizes.items()})
        assert tab.page.locator("#clusters .tick").count() == 1

    for i in range(50):
        kind = ("disc", "stripes", "noise")[i % 3]
        draw(kind, 100 + i).save(photos / kind / f"new {i}.png")
    headlight("update", path)
    in_the_page()
    assert tab.page.locator("[data-view=new] .size").inner_text() == "50"

    names = [p for p in sorted(photos.rglob("*.png")) if p.name not in {moved, odd}]
    for file in chance.sample(names, 20):
        file.unlink()
    headlight("update", path)
    in_the_page()

    for i, file in enumerate(chance.sample(sorted(photos.rglob("*.png")), 30)):
        file.rename(file.with_name(f"renamed {i}.png"))
    elsewhere = photos.rename(tmp_path / "elsewhere")
    headlight("relocate", path, elsewhere)
    headlight("update", path)
    in_the_page()
    tab.go("Round & <b>bold</b>")
    tab.until("[...document.querySelectorAll('.tile img')].every(i => i.naturalWidth)")
    assert tab.page.locator("#name b").count() == 0

    for _ in range(review(load_run(path)).n_edits):
        tab.press("u")
    tab.in_time(lambda: not review(load_run(path)).n_edits)
    now = review(load_run(path))
    assert (now.n_edits, now.by_hand.any(), now.outlier.any(), now.done) == (0, False, False, set())
    assert [text for text in tab.complaints if "410" not in text] == []
    server.kill()
