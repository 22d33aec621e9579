"""What the page asks of the server: small JSON questions, and binary answers where it is many."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from contextlib import suppress
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
from headlight.explore.app.comparing import fits
from headlight.explore.app.events import Events
from headlight.explore.app.live import Live
from headlight.explore.app.session import Session
from headlight.images.thumbnail import Thumbnail
from headlight.review import load_run
from headlight.review import log as edits
from headlight.runs import restore_fit

MOST_PICTURES = 240
BODY = 10.0  # seconds in which a request's body has to come
ORDERS = ("certain", "uncertain", "typical", "name")
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
FRESH = {"cache-control": "no-store"}
CONFLICT, GONE = 409, 410


class StaleError(HeadlightError):
    """A request in terms of a fit that is no longer the current one."""


class Api:
    """The routes below ``/api`` and those of single pictures.

    Arguments:
        live: the run.
        events: tells all tabs of an edit.
    """

    def __init__(self, live: Live, events: Events) -> None:
        self._live = live
        self._events = events

    def routes(self) -> list[Route]:
        """For Starlette."""
        asked: dict[str, Callable[[Session, Request], Response]] = {
            "state": self._state,
            "rows": self._rows,
            "facts": self._facts,
            "labels": self._labels,
            "map": self._map,
            "pictures": self._pictures,
            "fits": self._fits,
            "compare": self._compare,
            "compare/rows": self._flow,
        }
        done: dict[str, Callable[[Session, dict[str, Any]], dict[str, Any]]] = {
            "rename": self._rename,
            "merge": self._merge,
            "split": self._split,
            "move": self._move,
            "outlier": self._outlier,
            "done": self._done,
            "accept": self._accept,
            "dismiss": self._dismiss,
            "seen": self._seen,
            "undo": lambda session, body: self._step(session, body, True),
            "redo": lambda session, body: self._step(session, body, False),
            "alike": self._alike,
            "refit": lambda session, body: session.propose(),
            "refit/apply": self._apply,
            "export": self._export,
            "compare/take": self._take_over,
            "compare/restore": self._restore,
        }
        found = [Route(f"/api/{name}", self._get(f), methods=["GET"]) for name, f in asked.items()]
        found += [Route(f"/api/{n}", self._post(f), methods=["POST"]) for n, f in done.items()]
        for size in ("thumbnail", "image"):
            found.append(Route(f"/{size}/{{mark}}/{{row:int}}", self._get(self._picture)))
        return found

    def _get(self, answer: Callable[[Session, Request], Response]) -> Callable[[Request], Any]:
        def run(request: Request) -> Response:
            with self._live.using() as session:
                # A page that only opens asks for the state, without a mark.
                mark = request.path_params.get("mark") or request.query_params.get("mark")
                if answer != self._state:
                    _refuse_stale(session, mark)
                return answer(session, request)

        async def endpoint(request: Request) -> Response:
            self._notice()
            try:
                return await run_in_threadpool(run, request)
            except (HeadlightError, ValueError, KeyError, OverflowError) as error:
                return _refused(error)

        return endpoint

    def _post(
        self, act: Callable[[Session, dict[str, Any]], dict[str, Any]]
    ) -> Callable[[Request], Any]:
        def run(body: Any) -> Response:
            with self._live.using() as session:
                _refuse_stale(session, body.get("mark"))
                before = session.version
                try:
                    result = act(session, body)
                except HeadlightError:
                    # Another process may have fitted the run a moment ago: that says more.
                    with suppress(HeadlightError):
                        self._live.look()
                    _refuse_stale(self._live.session, session.mark)
                    raise
                if session.version != before:
                    result = {**result, "state": session.state()}
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
                response = _refused(error)
                if response.status_code != GONE:
                    return response
            self._events.tell()
            return response

        return endpoint

    def _notice(self) -> None:
        if filler := self._live.session.filler:
            filler.wait_a_little()

    def _state(self, session: Session, request: Request) -> Response:
        from headlight.export import EXPORTS

        exports = [
            {"name": k, "links": "link" in signature(f).parameters} for k, f in EXPORTS.items()
        ]
        return JSONResponse(session.state() | {"exports": exports}, headers=FRESH)

    def _rows(self, session: Session, request: Request) -> Response:
        asked = request.query_params
        if "search" in asked:
            return _numbers(session.search(asked["search"]))
        cluster = int(asked["cluster"]) if "cluster" in asked else None
        order = asked.get("order", "certain")
        if order not in ORDERS:
            raise ValueError("no such order")
        since = int(asked["since"]) if "since" in asked else None
        marks = "outliers" in asked, "unseen" in asked
        return _numbers(session.rows(cluster, order, *marks, since))

    def _facts(self, session: Session, request: Request) -> Response:
        rows = _checked(session, request.query_params["rows"].split(","))
        return JSONResponse(session.facts(rows[:MOST_PICTURES].tolist()), headers=FRESH)

    def _labels(self, session: Session, request: Request) -> Response:
        return _numbers(session.labels)

    def _map(self, session: Session, request: Request) -> Response:
        return _binary(session.map().astype("<f4").tobytes())

    def _pictures(self, session: Session, request: Request) -> Response:
        """Thumbnails of up to 240 rows: for each the length (uint32) and a sign, then the bytes.

        The sign is P for PNG, J for JPEG, G for gone and U for unreadable.
        """
        rows = _checked(session, request.query_params["rows"].split(","))[:MOST_PICTURES]
        assert session.pictures  # noqa: S101 - there are rows, so there are pictures
        found = session.pictures.thumbnails(rows.tolist())
        parts = []
        for picture in found:
            parts += [struct.pack("<Ic", len(picture.data), _sign(picture)), picture.data]
        return _binary(b"".join(parts))

    def _picture(self, session: Session, request: Request) -> Response:
        row = int(_checked(session, [request.path_params["row"]])[0])
        pictures = session.pictures
        assert pictures  # noqa: S101 - as above
        small = request.url.path.startswith("/thumbnail/")
        picture = pictures.thumbnail(row) if small else pictures.large(row)
        if not picture.data:
            return Response(picture.problem, 404, FRESH, "text/plain")
        return Response(picture.data, 200, FOREVER, picture.kind)

    def _rename(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.edit(edits.rename(body["cluster"], body["name"]))
        return {}

    def _merge(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.edit(edits.merge(body["clusters"], body["into"]))
        return {}

    def _split(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        return {"made": session.split(body["cluster"], body["parts"])}

    def _move(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        rows = _checked(session, body["rows"])
        return {"cluster": session.move(rows, body.get("cluster"), body.get("name"))}

    def _outlier(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.edit(edits.mark_outliers(_checked(session, body["rows"]), bool(body["value"])))
        return {}

    def _done(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.edit(edits.mark_done(body["cluster"], bool(body["value"])))
        return {}

    def _accept(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.edit(edits.accept(body["cluster"]))
        return {}

    def _dismiss(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.dismiss(body["cluster"])
        return {}

    def _seen(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        rows = _checked(session, body["rows"]) if "rows" in body else None
        session.see(rows, body.get("cluster"))
        return {}

    def _step(self, session: Session, body: dict[str, Any], back: bool) -> dict[str, Any]:
        session.step(back, body["version"])
        return {}

    def _alike(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        return {"rows": session.alike(_checked(session, body["rows"])).tolist()}

    def _apply(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.apply_refit(body["version"], body["rows"])
        return {}

    def _export(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
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
        report = export_run(load_run(session.path), body["format"], dest, link=link)
        return asdict(report) | {"path": str(report.path), "missing": len(report.missing)}

    def _fits(self, session: Session, request: Request) -> Response:
        run = session.opened.run
        found = fits(run) if run and run.info.fit else []
        return JSONResponse({"fits": found}, headers=FRESH)

    def _compare(self, session: Session, request: Request) -> Response:
        return JSONResponse(session.compare(request.query_params["fit"]), headers=FRESH)

    def _flow(self, session: Session, request: Request) -> Response:
        asked = request.query_params
        after = int(asked["after"]) if asked["after"] else None
        return _numbers(session.flow(asked["fit"], int(asked["before"]), after))

    def _take_over(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        session.take_over(body["fit"], body["version"], body["flows"])
        return {}

    def _restore(self, session: Session, body: dict[str, Any]) -> dict[str, Any]:
        if not session.opened.run:
            raise HeadlightError(f"nothing can be restored here: {session.opened.read_only}")
        restored = restore_fit(session.opened.run, body["fit"])
        self._live.look()
        return {"fit": restored.fit.id}


def _checked(session: Session, rows: Any) -> np.ndarray:
    """Rows of the run, and nothing else: int64 (m,)."""
    if not isinstance(rows, list) or not rows:
        raise ValueError("no images were named")
    numbers = [int(row) for row in rows]
    if min(numbers) < 0 or max(numbers) >= session.n:
        raise ValueError("an image that is not in this run")
    return np.array(numbers, np.int64)


def _refuse_stale(session: Session, mark: Any) -> None:
    """Rows and clusters of another session may be other ones in this one."""
    if not isinstance(mark, str):
        raise ValueError("it does not say which fit it is about")
    if mark != session.mark:
        raise StaleError(
            "The run was fitted again meanwhile, so nothing was changed: look at it, then go on."
        )


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
        status = GONE if isinstance(error, StaleError) else CONFLICT
        return JSONResponse({"error": str(error)}, status, FRESH)
    return JSONResponse({"error": f"a request that makes no sense: {error}"}, 400, FRESH)
