"""Keeps all open tabs in step: each is told of every edit, whoever made it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from headlight.explore.app.live import Live

HEARTBEAT = 10.0  # seconds: a tab that hears nothing for longer says that the server has gone
MOST_TABS = 32
LOOK = 1.0  # seconds between looks at what other processes have appended


class Events:
    """Server-sent events: the session and its last edit, whenever one changes.

    Arguments:
        live: the run.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._tabs: set[asyncio.Queue[bool]] = set()
        self._stopped = False

    def tell(self) -> None:
        """Tells all tabs; from the event loop only."""
        for tab in self._tabs:
            tab.put_nowait(True)

    def stop(self) -> None:
        """Ends all streams, also those to come."""
        self._stopped = True
        for tab in self._tabs:
            tab.put_nowait(False)

    async def watch(self) -> None:
        """Looks for edits and fits of other processes for as long as the server runs."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                if await asyncio.to_thread(self._live.look):
                    self.tell()
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
        tab: asyncio.Queue[bool] = asyncio.Queue()
        self._tabs.add(tab)
        try:
            while not self._stopped:
                session = self._live.session
                told = {"mark": session.mark, "version": session.version, "fits": session.fits}
                yield f"data: {json.dumps(told)}\n\n"
                with suppress(TimeoutError):
                    if not await asyncio.wait_for(tab.get(), HEARTBEAT):
                        return
        finally:
            self._tabs.discard(tab)
