"""Several ways to do the same, timed in turn, so that whatever else the machine does hits all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Entry:
    """One way to encode images.

    Arguments:
        name: for the table.
        images: how many it encodes when called.
        work: does it.
    """

    name: str
    images: int
    work: Callable[[], object]
    seconds: list[float] = field(default_factory=list)
    """Of each round, an image."""
    core_seconds: list[float] = field(default_factory=list)
    """Of all cores together, an image: other work on the machine hardly changes it."""


def run(entries: list[Entry], rounds: int) -> None:
    """Times all entries in every round, one after the other; before that each once, for nothing."""
    for turn in range(rounds + 1):
        for entry in entries:
            clock, cores = time.perf_counter(), time.process_time()
            entry.work()
            if turn:
                entry.seconds.append((time.perf_counter() - clock) / entry.images)
                entry.core_seconds.append((time.process_time() - cores) / entry.images)


def table(entries: list[Entry], subject: Entry) -> str:
    """Markdown: rates, and how many times as fast `subject`, headlight, is, round by round.

    Arguments:
        entries: after `run`.
        subject: one of them, compared with all others.
    """
    lines = [
        "| | images/s | headlight, times as fast | core ms per image | headlight, by core time |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for entry in entries:
        rate = spread([1 / seconds for seconds in entry.seconds], ".0f", ".1f")
        cores = spread([1000 * seconds for seconds in entry.core_seconds], ".1f", ".2f")
        times = cheaper = ""
        if entry is not subject:
            times = spread(ratios(entry.seconds, subject.seconds), ".2f") + " ×"
            cheaper = spread(ratios(entry.core_seconds, subject.core_seconds), ".2f") + " ×"
        lines.append(f"| {entry.name} | {rate} | {times} | {cores} | {cheaper} |")
    return "\n".join(lines)


def ratios(numerators: list[float], denominators: list[float]) -> list[float]:
    """Of each round."""
    return [n / d for n, d in zip(numerators, denominators, strict=True)]


def spread(values: list[float], form: str, small: str | None = None) -> str:
    """Median (least–largest); below 10 in the format `small`."""
    if small and median(values) < 10:
        form = small
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def load() -> str:
    """How busy the machine is already, in words."""
    return f"load average before it began: {os.getloadavg()[0]:.1f}"
