"""Bringing a run up to date whenever its images change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headlight.errors import HeadlightError
from headlight.review import UpdateReport
from headlight.run import Run, load_run

QUIET = 2.0  # seconds without a change before an update: many files are copied one after the other


def watch(
    path: Path,
    *,
    quiet: float = QUIET,
    stop: threading.Event | None = None,
    on_problem: Callable[[HeadlightError], None] | None = None,
    **options: Any,
) -> Iterator[tuple[Run, UpdateReport]]:
    """Update a run now, and each time after its images have changed.

    Arguments:
        path: of the run folder.
        quiet: seconds without a change before an update.
        stop: ends it when set.
        on_problem: called with why an update was impossible; it is tried again after the next
            change. Of the first update the error is raised.
        options: of `Run.update`.

    Returns:
        Iterator of the run and what was done, for each update that changed something, and for the
        first.

    Raises:
        HeadlightError: watchfiles is missing, there is nothing to watch, or the first update is
            impossible.
    """
    if not find_spec("watchfiles"):
        raise HeadlightError("watch needs watchfiles: pip install 'headlight-images[watch]'")
    from watchfiles import watch as changes_of

    run = load_run(path)
    place = Path(run.info.source.uri)
    if not place.exists():
        run.source  # noqa: B018 - says that the images are gone
        raise HeadlightError(
            f"{run.info.source.uri} is no folder or file of this machine, so no change of it is "
            f"seen: run `headlight update {path}` from time to time"
        )
    own = run.path.resolve()

    def of_source(_: object, changed: str) -> bool:
        return not Path(changed).is_relative_to(own)

    # What changes during an update is waiting when it ends.
    events = changes_of(
        place.resolve(),
        watch_filter=of_source,
        stop_event=stop,
        yield_on_timeout=True,
        rust_timeout=max(int(quiet * 1000), 1),
        debounce=500,
        raise_interrupt=True,
    )
    first = next(events, None)  # from here on nothing is missed
    if first is None:
        return
    yield run, run.update(**options)
    waiting = bool(first)
    for changes in events:
        if changes:
            waiting = True
        elif waiting:
            waiting = False
            try:
                run = load_run(path)
                report = run.update(**options)
            except HeadlightError as error:
                if on_problem:
                    on_problem(error)
                continue
            if report.changed:
                yield run, report
