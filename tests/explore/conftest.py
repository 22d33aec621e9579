"""A real browser that opens pages from disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.explore.serving import Server
from tests.explore.tab import Tab

FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run"


@dataclass
class Opened:
    """A page, and what the browser said while opening it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")  # one driver at a time: other modules may start their own
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api",
        reason="the report and the app in a browser (pip install -e '.[dev]')",
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("the report and the app in a browser (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser
        browser.close()


def drawn(page: Any) -> None:
    """Waits until what has just changed is laid out and painted: drawing takes one frame."""
    page.evaluate(
        "() => new Promise(done => { let left = 3;"
        " const next = () => (left-- ? requestAnimationFrame(next) : done()); next(); })"
    )


@pytest.fixture
def open_report(browser: Any) -> Iterator[Callable[..., Opened]]:
    pages = []

    def opened(path: Path, width: int = 1280, scheme: str = "light") -> Opened:
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        pages.append(page)
        seen = Opened(page)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(path.as_uri())
        return seen

    yield opened
    for page in pages:
        page.close()


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    contexts: list[Any] = []

    def opened(server: Server, **settings: Any) -> Tab:
        settings = {"viewport": {"width": 1280, "height": 844}} | settings
        contexts.append(browser.new_context(**settings))
        return Tab(contexts[-1], server)

    yield opened
    for context in contexts:
        context.close()
