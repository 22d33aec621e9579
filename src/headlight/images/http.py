"""One file over HTTP: bounded in bytes, time and redirects, and in where these may lead."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urljoin, urlsplit

from headlight.images.source import BadImage

MOST_REDIRECTS = 5
SECONDS = 120
CHUNK = 2**16


def fetch(file_system: Any, url: str, limit: int) -> bytes:
    """The first ``limit`` bytes of what a URL answers with.

    Whoever wrote a list of URLs, or runs a server in it, must not reach what only this machine can
    reach: a redirect from a public address to a private one is refused.

    Arguments:
        file_system: fsspec's, of HTTP.
        url: absolute.
        limit: most bytes read.

    Raises:
        BadImage: it redirects too often, or to where it must not.
        Exception: whatever aiohttp raises.
    """
    from fsspec.asyn import sync

    return sync(file_system.loop, _fetch, file_system, url, limit, timeout=SECONDS)


async def _fetch(file_system: Any, url: str, limit: int) -> bytes:
    session = await file_system.set_session()
    public = False
    for _ in range(MOST_REDIRECTS + 1):
        here = await _is_public(file_system.loop, url)
        if public and not here:
            raise BadImage("it redirects to an address inside this network")
        public = here
        async with session.get(url, allow_redirects=False) as response:
            target = response.headers.get("Location")
            if response.status in (301, 302, 303, 307, 308) and target:
                url = urljoin(url, target)
                if urlsplit(url).scheme not in ("http", "https"):
                    raise BadImage("it redirects to something other than HTTP")
                continue
            if response.status in (404, 410):
                raise FileNotFoundError(f"{response.status} {response.reason}")
            response.raise_for_status()
            data = bytearray()
            while len(data) < limit and (chunk := await response.content.read(CHUNK)):
                data += chunk
            return bytes(data[:limit])
    raise BadImage(f"it redirects more than {MOST_REDIRECTS} times")


async def _is_public(loop: Any, url: str) -> bool:
    """Whether everything that the host's name stands for can be reached from anywhere."""
    parts = urlsplit(url)
    try:
        found = await loop.getaddrinfo(parts.hostname, parts.port or 80)
    except OSError:  # behind a proxy, which alone knows the name, or nowhere
        return True
    return all(ipaddress.ip_address(address[4][0].split("%")[0]).is_global for address in found)
