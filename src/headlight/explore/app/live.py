"""The run as it is on disk now: a session of its current fit, replaced when that changes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headlight.errors import HeadlightError
from headlight.explore.app.session import Session
from headlight.runs import load_run
from headlight.runs.run import INFO


class Live:
    """The session that requests are answered from.

    What belongs to one fit is one `Session`, replaced as a whole: a request that began on the
    earlier one ends on it, and only then is it closed.

    Arguments:
        path: of the run folder; whatever of it can be shown is.

    Raises:
        HeadlightError: it is no run at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = self._written()
        self._session = Session(path)
        self._users: Counter[Session] = Counter()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._ended = False

    @property
    def session(self) -> Session:
        """The one for new requests; to answer a request, get it from `using`."""
        return self._session

    @contextmanager
    def using(self) -> Iterator[Session]:
        """The session, which stays open meanwhile."""
        with self._lock:
            session = self._session
            self._users[session] += 1
        try:
            yield session
        finally:
            with self._lock:
                self._users[session] -= 1
                if over := not self._users[session]:
                    del self._users[session]
                over = over and session is not self._session
            if over:
                session.close()

    def look(self) -> bool:
        """Takes up what other processes have done; tells whether there was anything.

        Raises:
            HeadlightError: the edits can't be read any more.
        """
        with self._looking:
            if self._fitted_again():
                return self._replace()
        with self.using() as session:
            return session.refresh()

    def start(self) -> None:
        """Begins the work in the background."""
        self._session.start()

    def close(self) -> None:
        """Ends it."""
        with self._looking:
            self._ended = True
            self._session.close()

    def _replace(self) -> bool:
        try:
            session = Session(self.path, self._session.number + 1)
        except HeadlightError:  # deleted: what is open can still be looked at
            return False
        with self._lock:
            former, self._session = self._session, session
            unused = not self._users[former]
        session.start()
        if unused:
            former.close()
        return True

    def _fitted_again(self) -> bool:
        written = self._written()
        if self._ended or written in (None, self._stamp):
            return False
        self._stamp = written
        try:
            info = load_run(self.path).info
        except HeadlightError:
            return False
        opened = self._session.opened
        if not (info.fit and opened.run and opened.run.info.fit):
            return info.fit is not None
        shown = opened.run.info
        same = (info.fit.id, info.source.uri) == (opened.run.info.fit.id, shown.source.uri)
        return not same or bool(opened.read_only)

    def _written(self) -> tuple[int, int, int] | None:
        try:
            found = (self.path / INFO).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
