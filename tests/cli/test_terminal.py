"""Progress as plain lines, and as a bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from headlight.cli import terminal
from headlight.cli.printing import Stages
from headlight.cli.terminal import Terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_say_how_much_how_fast_and_how_long(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Terminal().progress("embed", "images") as update:
        update(0, 8242)
        clock[0] += 30
        update(1290, 8242)
        clock[0] += 1
        update(1300, 8242)  # too soon after the line before
        clock[0] += 160
        update(8242, 8242)
    assert capsys.readouterr().err.splitlines() == [
        "embed: 1,290 of 8,242 images, 43 images/s, 0:02:42 left",
        "embed: 8,242 of 8,242 images, 43 images/s",
    ]


def test_work_that_was_done_before_has_no_rate(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Terminal().progress("embed", "images") as update:
        update(0, 615)
        clock[0] += 0.003
        update(615, 615)
    assert capsys.readouterr().err == "embed: 615 of 615 images\n"


def test_every_stage_shows_a_bar_also_one_that_reports_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    shown = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(Terminal, "_err", property(lambda self: shown))
    with Stages(Terminal()) as stages:
        stages("embed")(36, 36)
        stages("map")
        stages("report")(3, 7)
    text = screen.getvalue()
    assert "36 of 36 images" in text
    assert "3 of 7 images" in text
    for stage in ("embed", "map", "report"):
        assert f" {stage} " in text
    assert "0:00:00" in text
