"""What the page asks of the server: small JSON questions, and binary answers where it is many."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headlight.errors import HeadlightError
from headlight.explore.app.events import Events
from headlight.explore.app.session import Session
from headlight.images.thumbnail import Thumbnail
from headlight.review import load_run
from headlight.review import log as edits

MOST_PICTURES = 240
BODY = 10.0  # seconds in which a request's body has to come
ORDERS = ("certain", "uncertain", "typical", "name")
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
FRESH = {"cache-control": "no-store"}


class Api:
    """The routes below ``/api`` and those of single pictures.

    Arguments:
        session: the run.
        events: tells all tabs of an edit.
    """

    def __init__(self, session: Session, events: Events) -> None:
        self._session = session
        self._events = events

    def routes(self) -> list[Route]:
        """For Starlette."""
        asked: dict[str, Callable[[Request], Response]] = {
            "state": self._state,
            "rows": self._rows,
            "facts": self._facts,
            "labels": self._labels,
            "map": self._map,
            "pictures": self._pictures,
        }
        done: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "rename": self._rename,
            "merge": self._merge,
            "split": self._split,
            "move": self._move,
            "outlier": self._outlier,
            "done": self._done,
            "undo": lambda body: self._step(body, True),
            "redo": lambda body: self._step(body, False),
            "alike": self._alike,
            "refit": lambda body: self._session.propose(),
            "refit/apply": self._apply,
            "export": self._export,
        }
        found = [Route(f"/api/{name}", self._get(f), methods=["GET"]) for name, f in asked.items()]
        found += [Route(f"/api/{n}", self._post(f), methods=["POST"]) for n, f in done.items()]
        for size in ("thumbnail", "image"):
            found.append(Route(f"/{size}/{{mark}}/{{row:int}}", self._get(self._picture)))
        return found

    def _get(self, answer: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            self._notice()
            try:
                return await run_in_threadpool(answer, request)
            except (HeadlightError, ValueError, KeyError, OverflowError) as error:
                return _refused(error)

        return endpoint

    def _post(self, act: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
        def run(body: Any) -> Response:
            before = self._session.version
            result = act(body)
            if self._session.version != before:
                result = {**result, "state": self._session.state()}
            return JSONResponse(result, headers=FRESH)

        async def endpoint(request: Request) -> Response:
            self._notice()
            try:
                body = json.loads(await asyncio.wait_for(request.body(), BODY))
                if not isinstance(body, dict):
                    raise ValueError("an object is wanted")
                response = await run_in_threadpool(run, body)
            except TimeoutError:
                return Response("the request took too long", 408, {"connection": "close"})
            except (HeadlightError, ValueError, KeyError, TypeError, OverflowError) as error:
                return _refused(error)
            self._events.tell(self._session.version)
            return response

        return endpoint

    def _notice(self) -> None:
        if self._session.filler:
            self._session.filler.wait_a_little()

    def _state(self, request: Request) -> Response:
        from headlight.export import EXPORTS

        exports = [
            {"name": k, "links": "link" in signature(f).parameters} for k, f in EXPORTS.items()
        ]
        more = {"exports": exports, "mark": self._events.mark}
        return JSONResponse(self._session.state() | more, headers=FRESH)

    def _rows(self, request: Request) -> Response:
        asked = request.query_params
        if "search" in asked:
            return _numbers(self._session.search(asked["search"]))
        cluster = int(asked["cluster"]) if "cluster" in asked else None
        order = asked.get("order", "certain")
        if order not in ORDERS:
            raise ValueError("no such order")
        return _numbers(self._session.rows(cluster, order, "outliers" in asked))

    def _facts(self, request: Request) -> Response:
        rows = self._checked(request.query_params["rows"].split(","))
        return JSONResponse(self._session.facts(rows[:MOST_PICTURES].tolist()), headers=FRESH)

    def _labels(self, request: Request) -> Response:
        return _numbers(self._session.labels)

    def _map(self, request: Request) -> Response:
        return _binary(self._session.map().astype("<f4").tobytes())

    def _pictures(self, request: Request) -> Response:
        """Thumbnails of up to 240 rows: for each the length (uint32) and a sign, then the bytes.

        The sign is P for PNG, J for JPEG, G for gone and U for unreadable.
        """
        rows = self._checked(request.query_params["rows"].split(","))[:MOST_PICTURES]
        assert self._session.pictures  # noqa: S101 - there are rows, so there are pictures
        found = self._session.pictures.thumbnails(rows.tolist())
        parts = []
        for picture in found:
            parts += [struct.pack("<Ic", len(picture.data), _sign(picture)), picture.data]
        return _binary(b"".join(parts))

    def _picture(self, request: Request) -> Response:
        row = int(self._checked([request.path_params["row"]])[0])
        pictures = self._session.pictures
        assert pictures  # noqa: S101 - as above
        small = request.url.path.startswith("/thumbnail/")
        picture = pictures.thumbnail(row) if small else pictures.large(row)
        if not picture.data:
            return Response(picture.problem, 404, FRESH, "text/plain")
        return Response(picture.data, 200, FOREVER, picture.kind)

    def _rename(self, body: dict[str, Any]) -> dict[str, Any]:
        self._session.edit(edits.rename(body["cluster"], body["name"]))
        return {}

    def _merge(self, body: dict[str, Any]) -> dict[str, Any]:
        self._session.edit(edits.merge(body["clusters"], body["into"]))
        return {}

    def _split(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"made": self._session.split(body["cluster"], body["parts"])}

    def _move(self, body: dict[str, Any]) -> dict[str, Any]:
        rows = self._checked(body["rows"])
        return {"cluster": self._session.move(rows, body.get("cluster"), body.get("name"))}

    def _outlier(self, body: dict[str, Any]) -> dict[str, Any]:
        self._session.edit(edits.mark_outliers(self._checked(body["rows"]), bool(body["value"])))
        return {}

    def _done(self, body: dict[str, Any]) -> dict[str, Any]:
        self._session.edit(edits.mark_done(body["cluster"], bool(body["value"])))
        return {}

    def _step(self, body: dict[str, Any], back: bool) -> dict[str, Any]:
        self._session.step(back, body["version"])
        return {}

    def _alike(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"rows": self._session.alike(self._checked(body["rows"])).tolist()}

    def _apply(self, body: dict[str, Any]) -> dict[str, Any]:
        self._session.apply_refit(body["version"], body["rows"])
        return {}

    def _export(self, body: dict[str, Any]) -> dict[str, Any]:
        from headlight.export import EXPORTS, export_run

        if body["format"] not in EXPORTS:
            raise HeadlightError("there is no such format")
        if not isinstance(body["path"], str) or not body["path"].strip() or "\0" in body["path"]:
            raise HeadlightError("name the file or folder to create")
        dest = Path(body["path"].strip()).expanduser()
        if not dest.is_absolute():
            raise HeadlightError(f"{dest}: give the whole path, from / or ~ on")
        # Opened anew: what is exported is what is on the disk.
        link = "copy" if body.get("copy") else None
        report = export_run(load_run(self._session.path), body["format"], dest, link=link)
        return asdict(report) | {"path": str(report.path), "missing": len(report.missing)}

    def _checked(self, rows: Any) -> np.ndarray:
        """Rows of the run, and nothing else: int64 (m,)."""
        if not isinstance(rows, list) or not rows:
            raise ValueError("no images were named")
        numbers = [int(row) for row in rows]
        if min(numbers) < 0 or max(numbers) >= self._session.n:
            raise ValueError("an image that is not in this run")
        return np.array(numbers, np.int64)


def _sign(picture: Thumbnail) -> bytes:
    if picture.data:
        return b"P" if picture.kind == "image/png" else b"J"
    return b"G" if picture.problem == "gone" else b"U"


def _numbers(rows: np.ndarray) -> Response:
    return _binary(np.ascontiguousarray(rows, "<i4").tobytes())


def _binary(data: bytes) -> Response:
    return Response(data, 200, FRESH, "application/octet-stream")


def _refused(error: Exception) -> Response:
    """A sentence for a person if there is one; else the request made no sense."""
    if isinstance(error, HeadlightError):
        return JSONResponse({"error": str(error)}, 409, FRESH)
    return JSONResponse({"error": f"a request that makes no sense: {error}"}, 400, FRESH)
