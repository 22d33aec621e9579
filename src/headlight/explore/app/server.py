"""`explore`: serves a run on this machine, to one browser, until it is interrupted."""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headlight.errors import HeadlightError

if TYPE_CHECKING:
    from headlight.explore.app.events import Events
    from headlight.explore.app.live import Live

STATIC = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
SHARED = ("theme.css", "map.js", "picker.js", "points.js")


def explore(
    run_path: str | os.PathLike[str],
    port: int = 0,
    open_browser: bool = True,
    announce: Callable[[str], object] = print,
) -> None:
    """Shows a run in the browser for review, until Ctrl-C.

    Arguments:
        run_path: the run folder.
        port: on 127.0.0.1, which only this machine can reach; 0: any that is free.
        open_browser: open the page at once.
        announce: told the address, which holds a random key, when the page can be opened.

    Raises:
        HeadlightError: there is no run, the port is taken, or a package is missing.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise HeadlightError(
            f"explore needs {error.name}: pip install 'headlight-images[explore]'"
        ) from error
    from headlight.explore.app.events import Events
    from headlight.explore.app.live import Live
    from headlight.explore.app.serving import Server

    live = Live(Path(run_path))
    events = Events(live)
    token = secrets.token_urlsafe(24)
    with _listening(port) as listener:
        port = listener.getsockname()[1]
        address = f"http://127.0.0.1:{port}/{token}/"
        try:
            # The browser may come at once: it waits in the listening socket's queue.
            announce(address)
            if open_browser:
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
            Server(make_app(live, events, port, token), events.stop).run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            live.close()


def make_app(live: Live, events: Events, port: int, token: str) -> Any:
    """The ASGI application, guarded.

    Arguments:
        live: the run.
        events: tells all tabs of its edits.
        port: it will be reached on.
        token: what a browser must know.
    """
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from headlight.explore.app.api import Api
    from headlight.explore.app.guard import Guard

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        live.start()
        watcher = asyncio.create_task(events.watch())
        yield
        watcher.cancel()

    async def static(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        found = _static_files().get(name)
        if found is None:
            return Response("there is no such file", 404, media_type="text/plain")
        kind = STATIC[Path(name).suffix]
        return Response(found, 200, {"cache-control": "no-cache"}, kind)

    routes = [
        Route("/", static),
        Route("/static/{name}", static),
        Route("/api/events", events.endpoint),
        *Api(live, events).routes(),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), port, token)


@functools.cache
def _static_files() -> dict[str, bytes]:
    """The pages' own files by name: a fixed list, so no path leads anywhere else."""
    folder = files("headlight.explore") / "static"
    found = {name: (folder / name).read_bytes() for name in SHARED if (folder / name).is_file()}
    for file in (folder / "app").iterdir():
        if Path(file.name).suffix in STATIC:
            found[file.name] = file.read_bytes()
    return found


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise HeadlightError(
            f"port {port} can't be used ({error}): leave --port out, or give another"
        ) from error
    return listener
