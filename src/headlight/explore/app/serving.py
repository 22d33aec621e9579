"""uvicorn with an end to everything: idle connections, their number, and open tabs at Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 128  # a browser opens six
FIRST, NEXT = 10.0, 60.0  # seconds in which a connection's first and next request have to be whole


class Server(uvicorn.Server):
    """Serves an app; `stop` ends the answers that would go on for ever.

    Arguments:
        app: ASGI.
        stop: called when the server is to end, before it waits for its answers.
    """

    def __init__(self, app: Any, stop: Callable[[], object]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
                timeout_keep_alive=int(NEXT),
            )
        )
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends; a request that takes longer than a second is cut off in silence."""
        self._stop()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


class Connection(H11Protocol):
    """A connection that is closed when no whole request comes in time, however busy it looks."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock, or refuses one connection too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
        self.loop.call_later(FIRST, self._end_if_idle)

    def on_response_complete(self) -> None:
        """Starts the clock again."""
        answered = self.cycle  # the next may begin at once
        super().on_response_complete()
        self.loop.call_later(NEXT, self._end_if_idle, answered)

    def _end_if_idle(self, last: Any = None) -> None:
        if self.cycle is last and not self.transport.is_closing():
            self.transport.close()
