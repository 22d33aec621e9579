"""How the review app feels, measured in a real browser.

    python -m benchmarks.explore.app RUN

The run is copied, not its features, so nothing of it changes. What is measured, each in
milliseconds as the page itself sees it, from the key or click to the frame after the change:

- first page: from the navigation to the frame in which the grid's pictures are on the screen;
- cluster switch: from the click to the pictures of the cluster on the screen, thumbnails made;
- cluster switch, new: the same with thumbnails still to be made;
- merge: of the two clusters whose sizes are nearest to 6,000, from Enter to the merged cluster;
- undo: of that merge;
- scrolling: time between frames while 6,000 pixels a second go by, some 300 images.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import machine
from headlight.explore.app.cache import PictureCache
from headlight.images import image_id
from headlight.runs import load_run

FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run"
SERVE = """
import sys
from headlight.explore.app import explore
explore(sys.argv[1], open_browser=False, announce=lambda address: print(address, flush=True))
"""
# Resolves once every tile on the screen has its picture, with the time the change took.
SHOWN = """since => new Promise(done => {
    const grid = document.querySelector('#grid');
    const look = () => {
        const box = grid.getBoundingClientRect();
        const seen = [...document.querySelectorAll('.tile')].filter(t => {
            const b = t.getBoundingClientRect();
            return b.bottom > box.top && b.top < box.bottom; });
        const ready = grid.dataset.version !== undefined && seen.length && seen.every(t =>
            t.firstChild.complete && t.firstChild.naturalWidth);
        if (ready && window.loadedAt >= since) requestAnimationFrame(() => done(performance.now()));
        else setTimeout(look, 4);
    };
    look(); })"""
# Notes when the grid has got its rows, before any page script runs.
NOTE = """window.loadedAt = -1; document.addEventListener('DOMContentLoaded', () =>
    document.querySelector('#grid').addEventListener('loaded', () => {
        window.loadedAt = performance.now(); }));"""
SCROLL = """() => new Promise(done => {
    const grid = document.querySelector('#grid'), times = []; let last = performance.now();
    const begin = last;
    const step = now => { times.push(now - last); last = now; grid.scrollTop = (now - begin) * 6;
        if (now - begin < 3000) requestAnimationFrame(step); else done(times.slice(1)); };
    requestAnimationFrame(step); })"""


def measure(run: Path, chromium: str) -> list[tuple[str, str, str]]:
    """Rows of what, measured, wanted."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-c", SERVE, str(run)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        address = server.stdout.readline().strip()
        started = time.perf_counter() - begin
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=FLAGS.split())
                rows = _figures(browser, address, run, server.pid)
                browser.close()
        finally:
            server.terminate()
    return [("server started", f"{started:.1f} s", ""), *rows]


def _figures(browser: Any, address: str, run: Path, pid: int) -> list[tuple[str, str, str]]:
    def opened() -> tuple[Any, float]:
        page = browser.new_context(viewport={"width": 1280, "height": 844}).new_page()
        page.set_default_timeout(180_000)
        page.add_init_script(NOTE)
        page.goto(address)
        return page, page.evaluate(SHOWN, 0)

    page, first = opened()
    sizes = page.eval_on_selector_all(
        "#clusters [data-cluster]",
        "all => all.map(e => [Number(e.dataset.cluster), "
        "parseInt(e.querySelector('.size').textContent.replaceAll(',', ''))])",
    )
    ids = [cluster for cluster, _ in sizes][:8]

    def switch(cluster: int) -> float:
        since = page.evaluate(
            f"""() => {{ const now = performance.now();
            document.querySelector('[data-cluster="{cluster}"]').click(); return now; }}"""
        )
        return page.evaluate(SHOWN, since) - since

    new = [switch(cluster) for cluster in ids[1:]]
    _wait_for_thumbnails(run)
    page.close()
    page, again = opened()
    page.wait_for_timeout(1000)
    old = [switch(cluster) for cluster in [*ids, *ids[:3]]]
    big = sorted(sizes, key=lambda row: abs(row[1] - 6000))[:2]
    merges, undos = [], []
    for _ in range(5):
        merges.append(_merge(page, [c for c, _ in big]))
        page.wait_for_timeout(300)
        undos.append(_undo(page))
        page.wait_for_timeout(300)
    page.click("[data-view=all]")
    page.wait_for_timeout(1500)
    frames = sorted(page.evaluate(SCROLL))
    peak = _peak_mib(pid)
    return [
        ("first page, no thumbnail made yet", f"{first / 1000:.2f} s", "≤ 2 s"),
        ("first page", f"{again / 1000:.2f} s", "≤ 2 s"),
        ("cluster switch, thumbnails still to be made", _spread(new), ""),
        ("cluster switch", _spread(old), "≤ 200 ms"),
        (f"merge of {big[0][1]:,} and {big[1][1]:,}", _spread(merges), "≤ 300 ms"),
        ("undo of it", _spread(undos), ""),
        ("frame while scrolling, median / 95 %", _frames(frames), ""),
        ("server's memory, most", f"{peak:.0f} MiB", "≤ 1,024 MiB"),
    ]


def _merge(page: Any, clusters: list[int]) -> float:
    page.click(f'[data-cluster="{clusters[0]}"]')
    page.evaluate(SHOWN, 0)
    page.keyboard.press("g")
    page.locator(f'dialog [data-pick="{clusters[1]}"]').wait_for()
    since = page.evaluate(
        f"""() => {{ const now = performance.now();
        document.querySelector('dialog [data-pick="{clusters[1]}"]').click(); return now; }}"""
    )
    done = page.evaluate(
        """([since, gone]) => new Promise(done => { const look = () => {
        if (!document.querySelector(`#clusters [data-cluster="${gone}"]`) && loadedAt > since)
            requestAnimationFrame(() => done(performance.now()));
        else setTimeout(look, 4); }; look(); })""",
        [since, clusters[0]],
    )
    return done - since


def _undo(page: Any) -> float:
    before = page.locator("#clusters [data-cluster]").count()
    since = page.evaluate(
        "() => { const n = performance.now(); document.querySelector('#undo').click(); return n; }"
    )
    done = page.evaluate(
        """before => new Promise(done => { const look = () => {
        if (document.querySelectorAll('#clusters [data-cluster]').length > before)
            requestAnimationFrame(() => done(performance.now()));
        else setTimeout(look, 4); }; look(); })""",
        before,
    )
    return done - since


def _wait_for_thumbnails(run: Path) -> None:
    ids = [image_id(path) for path in load_run(run).assignments["path"].to_pylist()]
    cache = PictureCache(run / "thumbnails.sqlite", ids)
    end = time.monotonic() + 600
    while cache.missing() and time.monotonic() < end:
        time.sleep(0.5)
    cache.close()


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _spread(times: list[float]) -> str:
    return f"{median(times):.0f} ms ({min(times):.0f}–{max(times):.0f})"


def _frames(times: list[float]) -> str:
    return f"{median(times):.0f} / {times[int(0.95 * len(times))]:.0f} ms"


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a fitted run, best of 60,000 images")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no chromium on this machine")
    with tempfile.TemporaryDirectory(dir=given.run.resolve().parent) as folder:
        copy = Path(folder) / "copy.headlight"
        shutil.copytree(given.run, copy, copy_function=_link_or_copy)
        (copy / "thumbnails.sqlite").unlink(missing_ok=True)
        (copy / "edits.jsonl").unlink(missing_ok=True)
        images = load_run(copy).info.source.images
        rows = measure(copy, chromium)
    print(f"{images:,} images. {machine()}, load {os.getloadavg()[0]:.1f}\n")
    print("| | measured | wanted |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def _link_or_copy(source: str, target: str) -> None:
    """Features are large and never written to: a link will do."""
    if ".lance" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


if __name__ == "__main__":
    main()
