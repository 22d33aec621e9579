"""Who may talk to the app: the browser that was given the token, and no page of another site."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BODY = 4 * 2**20  # a lasso around 100,000 rows is some 700 KB
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
REFUSED = (
    "This page belongs to a session of headlight explore. Open the address that the command "
    "printed; it holds a key that changes every time."
)


class Guard:
    """ASGI middleware that refuses what doesn't come from the app's own page.

    Checked in this order: ``Host`` is loopback with our port (another name may resolve to
    127.0.0.1, which is how a foreign site would reach us); ``Origin`` and ``Sec-Fetch-Site``, where
    sent, are ours, and an Origin is sent with everything that changes something; the token, with
    which every path begins. It is no cookie: those are sent to every port of a host, so another
    server on this machine would learn it. No ``Referer`` is sent anywhere.

    Arguments:
        app: what to guard; sees paths without the token.
        port: the server listens on.
        token: random.
    """

    def __init__(self, app: Any, port: int, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request, or lets the app answer it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        given, slash, path = scope["path"][1:].partition("/")
        if problem := self._problem(scope["method"], headers, given, path):
            return await _answer(send, *problem)
        if not slash:  # the page's own addresses are relative
            return await _answer(send, 307, "", {"location": f"/{given}/"})

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return await self._app({**scope, "path": f"/{path}"}, receive, with_headers)

    def _problem(
        self, method: str, headers: dict[str, str], given: str, path: str
    ) -> tuple[int, str] | None:
        """Status and sentence of a refusal; None lets the request through."""
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "This server answers to 127.0.0.1 and localhost only."
        changes = method not in ("GET", "HEAD")
        known = hmac.compare_digest(given.encode("utf-8", "replace"), self._token)
        if self._foreign(headers, changes, known and not path):
            return 403, "A page of another site can't use this server."
        if not known:
            return 403, REFUSED
        return _unfit(headers) if changes else None

    def _foreign(self, headers: dict[str, str], changes: bool, start: bool) -> bool:
        """Whether another site asks; a link there may lead to the start page, with its key."""
        origin = headers.get("origin")
        if origin not in self._origins and (origin is not None or changes):
            return True
        # "none": typed, or opened by the command.
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not start


def _unfit(headers: dict[str, str]) -> tuple[int, str] | None:
    """What is wrong with the body of a request, before it is read."""
    if headers.get("content-type", "").split(";")[0] != "application/json":
        return 415, "Send JSON."
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return 411, "Say how long the request is."
    return (413, "That is too much for one request.") if int(length) > MOST_BODY else None


async def _answer(send: Send, status: int, text: str, more: Mapping[str, str] = {}) -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    headers |= {**HEADERS, **more}
    raw = [(k.encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": text.encode()})
