"""A store of objects on loopback that answers as S3 does, and a proxy before it that misbehaves."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SLOW = 30.0  # seconds that a slow body takes, far more than a test waits
Fault = str | None
"""``503``, ``slow``, ``cut``, ``403`` or ``404``; None: the request is passed on."""

_ERRORS = {
    "503": (503, "ServiceUnavailable"),
    "403": (403, "InvalidAccessKeyId"),
    "404": (404, "NoSuchKey"),
}


class Store:
    """A bucket behind a proxy.

    Attributes:
        url: of the bucket.
        fault: decides what goes wrong with a request for a path; it may be replaced at any time.
        requests: (method, path) of all requests so far, in order.
    """

    def __init__(self, upstream: tuple[str, int], bucket: str) -> None:
        self.url, self.bucket, self._upstream = f"s3://{bucket}", bucket, upstream
        self.fault: Callable[[str], Fault] = lambda _: None
        self.requests: list[tuple[str, str]] = []
        self._request("POST", "/moto-api/reset")  # its objects are the process's
        self._request("PUT", f"/{bucket}")

    def put(self, key: str, data: bytes) -> None:
        """Write an object, around the proxy."""
        self._request("PUT", f"/{self.bucket}/{key}", data)

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Write all files of a folder."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def delete(self, key: str) -> None:
        """Delete an object, around the proxy."""
        self._request("DELETE", f"/{self.bucket}/{key}")

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes, Fault]:
        """Of one request: status, headers, body, and what is to go wrong with these."""
        path = unquote(urlsplit(target).path)
        self.requests.append((method, path))
        fault = self.fault(path)
        if fault in _ERRORS:
            status, code = _ERRORS[fault]
            text = f"<Error><Code>{code}</Code><Message>on purpose: {code}</Message></Error>"
            return status, [("Content-Type", "application/xml")], text.encode(), None
        return (*self._pass_on(method, target, headers, body), fault)

    def _request(self, method: str, target: str, body: bytes = b"") -> None:
        keys = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"}
        status, _, text = self._pass_on(method, target, keys, body)
        assert status < 300, text

    def _pass_on(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self._upstream)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()


def _handler(store: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # whoever asked has given up
                self.close_connection = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, data, fault = store.answer(
                self.command, self.path, dict(self.headers), body
            )
            self.send_response(status)
            dropped = ("transfer-encoding", "connection", "date", "server")
            dropped += () if self.command == "HEAD" else ("content-length",)
            for name, value in headers:
                if name.lower() not in dropped:
                    self.send_header(name, value)
            if self.command == "HEAD":
                self.end_headers()
                return
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault:
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                self.close_connection = True
                if fault == "slow":
                    time.sleep(SLOW)
                return
            self.wfile.write(data)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def s3_store() -> Iterator[Store]:
    """An empty bucket, which this process and its children reach as ``store.url``."""
    moto = pytest.importorskip("moto.server", reason="sources by URL (pip install 'moto[server]')")
    s3fs = pytest.importorskip("s3fs", reason="s3:// (pip install s3fs)")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        bucket = Store(server.get_host_and_port(), "photos")
        with serving(_handler(bucket)) as url, pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_ACCESS_KEY_ID", "k")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "a secret that is easy to find")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            s3fs.S3FileSystem.clear_instance_cache()  # of another endpoint
            yield bucket
    finally:
        server.stop()
