"""A real server in a process of its own, as a person starts it; killed without mercy."""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Server:
    """``headlight explore RUN``, until `kill`."""

    def __init__(self, run: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headlight", "explore", str(run), "--no-browser", "--quiet"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.process.kill)  # should a test fail before it ends the server
        assert self.process.stdout
        # "RUN is at ADDRESS"
        self.address = self.process.stdout.readline().strip().rpartition(" ")[2]
        if not self.address:
            assert self.process.stderr
            raise AssertionError(self.process.stderr.read())
        parts = urlsplit(self.address)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.base = self.address.rstrip("/")
        self.port = parts.port
        self.token = parts.path.strip("/")
        self._mark = ""

    @property
    def mark(self) -> str:
        """Of the fit that was last seen, as a page sends it."""
        if not self._mark:
            self.ask("/api/state")
        return self._mark

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def ask(
        self,
        path: str,
        body: Any = None,
        headers: dict[str, str | None] | None = None,
        token: str | None = None,
    ) -> tuple[int, Any]:
        """Status and answer; headers, token and mark as our own page sends them, unless given."""
        if isinstance(body, dict):
            body = {"mark": self.mark, **body}
        elif path != "/api/state" and "mark=" not in path and body is None:
            path = path.replace("{mark}", self.mark)
            path += f"{'&' if '?' in path else '?'}mark={self.mark}"
        sent: dict[str, str | None] = {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent |= {"Content-Type": "application/json", "Origin": self.origin}
        sent |= headers or {}
        given = {name: value for name, value in sent.items() if value is not None}
        base = self.base if token is None else f"{self.origin}/{token}" if token else self.origin
        request = urllib.request.Request(base + path, data, given)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                status, raw, kind = response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            status, raw, kind = error.code, error.read(), error.headers
        self.headers = dict(kind)
        if "json" in kind.get("content-type", ""):
            answer = json.loads(raw)
            self._mark = answer.get("mark", self._mark) if isinstance(answer, dict) else self._mark
            return status, answer
        return status, raw
