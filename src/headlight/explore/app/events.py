"""Keeps all open tabs in step: each is told of every edit, whoever made it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from headlight.explore.app.session import Session

HEARTBEAT = 10.0  # seconds: a tab that hears nothing for longer says that the server has gone
MOST_TABS = 32
LOOK = 1.0  # seconds between looks at what other processes have appended


class Events:
    """Server-sent events: the number of the last edit, whenever it changes.

    Arguments:
        session: the run.
        mark: of this run and fit, in the addresses of pictures, which browsers keep for ever.
    """

    def __init__(self, session: Session, mark: str) -> None:
        self.mark = mark
        self._session = session
        self._tabs: set[asyncio.Queue[int | None]] = set()
        self._stopped = False

    def tell(self, version: int) -> None:
        """Tells all tabs; from the event loop only."""
        for tab in self._tabs:
            tab.put_nowait(version)

    def stop(self) -> None:
        """Ends all streams, also those to come."""
        self._stopped = True
        for tab in self._tabs:
            tab.put_nowait(None)

    async def watch(self) -> None:
        """Looks for edits of other processes for as long as the server runs."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                if await asyncio.to_thread(self._session.refresh):
                    self.tell(self._session.version)
            except Exception:  # noqa: S112 - said to the person who makes the next edit
                continue

    async def endpoint(self, request: Request) -> Response:
        """``/api/events``."""
        if self._stopped or len(self._tabs) >= MOST_TABS:
            return Response("too many tabs are open", 503, media_type="text/plain")
        return StreamingResponse(
            self._stream(), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _stream(self) -> AsyncIterator[str]:
        tab: asyncio.Queue[int | None] = asyncio.Queue()
        self._tabs.add(tab)
        version: int | None = self._session.version
        try:
            while not self._stopped:
                yield f"data: {json.dumps({'version': version})}\n\n"
                try:
                    version = await asyncio.wait_for(tab.get(), HEARTBEAT)
                except TimeoutError:
                    version = self._session.version
                if version is None:
                    return
        finally:
            self._tabs.discard(tab)
