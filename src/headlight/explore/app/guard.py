"""Who may talk to the app: the browser that was given the token, and no page of another site."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

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
    "referrer-policy": "same-origin",
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
    sent, are ours, and an Origin is sent with everything that changes something; the token, once
    in the address, then in a cookie that scripts can't read and no other site can make the browser
    send.

    Arguments:
        app: what to guard.
        port: the server listens on.
        token: random.
    """

    def __init__(self, app: Any, port: int, token: str) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        # Cookies don't know ports: two servers must not overwrite each other's.
        self._cookie = f"headlight-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request, or lets the app answer it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"))
        by_address = self._is_token(query.get("token", [""])[0])
        if problem := self._problem(scope, headers, by_address):
            return await _answer(send, *problem)
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                if by_address:
                    added.append((b"set-cookie", cookie.encode()))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return await self._app(scope, receive, with_headers)

    def _problem(
        self, scope: Scope, headers: dict[str, str], by_address: bool
    ) -> tuple[int, str] | None:
        """Status and sentence of a refusal; None lets the request through."""
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "This server answers to 127.0.0.1 and localhost only."
        changes = scope["method"] not in ("GET", "HEAD")
        if self._foreign(headers, changes, by_address and scope["path"] == "/"):
            return 403, "A page of another site can't use this server."
        if not by_address and not self._is_token(self._from_cookie(headers.get("cookie", ""))):
            return 403, REFUSED
        return _unfit(headers) if changes else None

    def _foreign(self, headers: dict[str, str], changes: bool, start: bool) -> bool:
        """Whether another site asks; a link there may lead to the start page, with its key."""
        origin = headers.get("origin")
        if origin not in self._origins and (origin is not None or changes):
            return True
        # "none": typed, or opened by the command.
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not start

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("latin-1", "replace"), self._token.encode())

    def _from_cookie(self, text: str) -> str:
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found else ""


def _unfit(headers: dict[str, str]) -> tuple[int, str] | None:
    """What is wrong with the body of a request, before it is read."""
    if headers.get("content-type", "").split(";")[0] != "application/json":
        return 415, "Send JSON."
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return 411, "Say how long the request is."
    return (413, "That is too much for one request.") if int(length) > MOST_BODY else None


async def _answer(send: Send, status: int, text: str) -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **HEADERS}
    raw = [(k.encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": text.encode()})
