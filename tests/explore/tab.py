"""A page of the app in a real browser, and what a person does there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.explore.serving import Server


class Tab:
    """The app, opened; its console and its requests are kept."""

    def __init__(self, context: Any, server: Server) -> None:
        self.server = server
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.open()

    def open(self, address: str | None = None) -> None:
        self.page.goto(address or self.server.address)
        self.page.wait_for_selector("body[data-ready]")
        self.loaded()

    def loaded(self) -> None:
        """Waits until the images shown are those of the view named at the head."""
        self.until("document.querySelector('#grid').getAttribute('aria-busy') === 'false'")

    def until(self, expression: str) -> None:
        """Waits for a JavaScript expression; the page's policy forbids the browser's own way."""
        if not self.in_time(lambda: self.page.evaluate(expression)):
            raise AssertionError(f"never true: {expression}")

    def in_time(self, true: Callable[[], bool]) -> bool:
        """Far longer than it takes: the machine may be busy with other tests."""
        deadline = time.monotonic() + 60
        while not (found := true()) and time.monotonic() < deadline:
            self.page.wait_for_timeout(50)
        return found

    def clusters(self) -> dict[str, int]:
        """Name → size, as the sidebar says."""
        found = self.page.eval_on_selector_all(
            "#clusters [data-cluster]",
            "all => all.map(e => [e.querySelector('.words').textContent, "
            "parseInt(e.querySelector('.size').textContent.replaceAll(',', ''))])",
        )
        return dict(found)

    def wait_for(self, clusters: dict[str, int]) -> None:
        self.in_time(lambda: self.clusters() == clusters)
        assert self.clusters() == clusters, self.clusters()

    def go(self, name: str) -> None:
        self.page.locator("#clusters [data-cluster]", has_text=name).first.click()
        self.until(f"document.querySelector('#name').textContent === {name!r}")
        self.loaded()

    def tile(self, place: int) -> Any:
        return self.page.locator(f"#tile-{place}")

    def tiles(self) -> list[str]:
        """File names of the tiles, in order."""
        self.loaded()
        self.until("[...document.querySelectorAll('.tile')].every(t => t.title)")
        return self.page.eval_on_selector_all(
            ".tile",
            "all => all.sort((a, b) => a.dataset.place - b.dataset.place)"
            ".map(t => t.title.split('\\n')[0])",
        )

    def painted(self) -> None:
        """Waits until the map shows points."""
        self.page.wait_for_selector("#map-canvas canvas")
        self.until("""(() => { const c = document.querySelector('#map-canvas canvas');
            return c.width > 300 && c.getContext('2d').getImageData(0, 0, c.width, c.height)
                .data.some(v => v); })()""")

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def name(self, text: str) -> None:
        """Waits until the view is called so."""
        self.until(f"document.querySelector('#name').textContent === {text!r}")
        self.loaded()

    def say(self) -> str:
        return self.page.locator("#toast").inner_text()

    def answer(self, text: str, button: str) -> None:
        self.page.locator("dialog input").fill(text)
        self.page.locator(f"dialog button:text-is('{button}')").click()
        self.page.wait_for_selector("dialog", state="detached")
