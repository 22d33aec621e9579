"""Files behind a URL, read through fsspec: patient with networks, blunt about credentials."""

from __future__ import annotations

import importlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, TypeVar

from headlight.errors import HeadlightError
from headlight.images.faults import credentials_refused, gone, may_pass, refusal, refused, why_of
from headlight.images.files import Entry, Files, base, inside
from headlight.images.http import fetch
from headlight.images.source import BadImage, within_limit
from headlight.images.urls import SCHEMES, scheme_of

READERS = 32  # reads under way at a time: a store answers one in some 50 ms, whatever its load
WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds until each further attempt, more or less
_PATIENT = ("gs", "hf")  # their libraries wait and try again themselves, for minutes
READ_SECONDS = 120.0  # for one attempt to read an image
MOST_FAILURES = 20  # one after the other; then it is the store, not the images
BLOCK = 4 * 2**20  # bytes read ahead in a file that holds many images

# Of fsspec's file systems: no listing is kept, what lies there may change, and waiting is ours.
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "max_pool_connections": READERS,
            "retries": {"total_max_attempts": 1},
        },
    },
    "gs": {"use_listings_cache": False},
    "http": {"client_kwargs": {"trust_env": True}},
    "https": {"client_kwargs": {"trust_env": True}},
}
_MARKS = (
    *("ETag", "etag", "blob_id", "generation", "md5Hash"),
    *("LastModified", "last_modified", "mtime", "updated", "created"),
)
T = TypeVar("T")


class RemoteFiles(Files):
    """Files of a store that a URL names.

    Arguments:
        root: URL without a slash at its end; checked.
        names: as in `Files`.
        uri: as in `Files`; ``root`` if left out.
        vital: whether reading ends with a `HeadlightError` when nothing can be read any more; if
            not, each image is a bad one.

    Raises:
        HeadlightError: what reads this kind of URL is not installed.
    """

    readers = READERS

    def __init__(
        self,
        root: str,
        names: Sequence[str] | None = None,
        uri: str | None = None,
        vital: bool = True,
    ) -> None:
        super().__init__(uri or root, names)
        self.root, self._vital = root, vital
        self._fs, self._base = _opened(root)
        self._waits = () if scheme_of(root) in _PATIENT else WAITS
        self._kept: dict[str, list[Entry]] = {}
        self._failures = 0

    def children(self, folder: str) -> list[Entry]:
        """See `Files.children`. What `peek` has seen is not asked for again."""
        if folder in self._kept:
            return self._kept.pop(folder)
        place = self._place(folder)
        found = self.demand(folder, lambda: self._fs.ls(place, detail=True))
        prefix = folder and folder + "/"
        entries = []
        for info in found:
            name = base(info["name"].rstrip("/"))
            # A store lists the mark of a folder as a file of that name in it.
            if name and info["name"].rstrip("/") != place.rstrip("/"):
                is_folder = info["type"] == "directory"
                entries.append(Entry(prefix + name, is_folder, "" if is_folder else _state(info)))
        return entries

    def peek(self, folder: str) -> list[Entry]:
        """As `children`, which will be called, too."""
        self._kept[folder] = self.children(folder)
        return self._kept[folder]

    def entry(self, name: str) -> Entry:
        """See `Files.entry`."""
        place = self._place(name)
        info = self.demand(name, lambda: self._fs.info(place))
        return Entry(name, info["type"] == "directory", _state(info))

    def read(self, name: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        place = self._place(inside(name))
        if scheme_of(self.root) in ("http", "https"):
            return within_limit(self.attempt(lambda: fetch(self._fs, place, limit + 1)), limit)
        return within_limit(self.attempt(lambda: self._bytes(place, 0, limit + 1)), limit)

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """See `Files.read_range`."""
        place = self._place(inside(name))
        data = self.attempt(lambda: self._bytes(place, start, start + size))
        if len(data) > size:
            raise BadImage("unreadable: its server sends whole files only")
        return data

    def open(self, name: str) -> IO[bytes]:
        """See `Files.open`."""
        return self._fs.open(self._place(inside(name)), "rb", block_size=BLOCK)

    def where(self, name: str) -> str:
        """See `Files.where`."""
        return f"{self.root}/{name}" if name else self.root

    def demand(self, name: str, call: Callable[[], T]) -> T:
        """See `Files.demand`."""
        try:
            return self._patiently(call)
        except Exception as error:
            where, why = self.where(name), why_of(error)
            if refused(error):
                raise HeadlightError(refusal(where, why)) from error
            if gone(error):
                why = "" if where.endswith(why) else f" ({why})"
                raise HeadlightError(f"{where}: there is nothing there{why}") from error
            if may_pass(error):
                raise HeadlightError(
                    f"{where} can't be read ({why}): run the same command again later, and it "
                    "goes on from here"
                ) from error
            raise

    def attempt(self, call: Callable[[], T]) -> T:
        """See `Files.attempt`."""
        try:
            found = self._patiently(call)
        except BadImage:
            raise
        except Exception as error:
            why = why_of(error)
            if credentials_refused(error) and self._vital:
                raise HeadlightError(refusal(self.root, why)) from error
            if may_pass(error):
                self._failures += 1
                if self._vital and self._failures >= MOST_FAILURES:
                    raise HeadlightError(
                        f"{self.root} can't be read any more ({why}): run the same command again "
                        "later, and it goes on from here"
                    ) from error
            raise BadImage(f"unreadable: {why}", gone(error)) from error
        self._failures = 0
        return found

    def _patiently(self, call: Callable[[], T]) -> T:
        """Attempts with longer and longer waits; one only while nothing can be read."""
        for wait in self._waits:
            try:
                return call()
            except Exception as error:
                if not may_pass(error) or self._failures >= MOST_FAILURES:
                    raise
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - no secret hangs on it
        return call()

    def _place(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def _bytes(self, place: str, start: int, end: int) -> bytes:
        """A range, in bounded time; a store may refuse any range of an empty file."""
        try:
            if self._fs.async_impl:
                from fsspec.asyn import sync

                return sync(
                    self._fs.loop,
                    self._fs._cat_file,
                    place,
                    start=start,
                    end=end,
                    timeout=READ_SECONDS,
                )
            return self._fs.cat_file(place, start=start, end=end)
        except Exception as error:
            if may_pass(error) or gone(error) or refused(error):
                raise
            with suppress(Exception):
                if self._fs.size(place) == 0:
                    return b""
            raise


def require(scheme: str) -> None:
    """Import what reads URLs of a scheme.

    Raises:
        HeadlightError: it is not installed.
    """
    module, extra = SCHEMES[scheme]
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise HeadlightError(
            f"{scheme}:// needs {module}: pip install 'headlight-images[{extra}]'"
        ) from error
    # What goes wrong is said by us, once; without a handler a library's log lands on the terminal.
    logging.getLogger(module).addHandler(logging.NullHandler())


def _opened(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and what that calls the place.

    Raises:
        HeadlightError: it is not installed, or not set up.
    """
    import fsspec

    scheme = scheme_of(url)
    require(scheme)
    try:
        found = fsspec.url_to_fs(url, **_OPTIONS.get(scheme, {}))
    except Exception as error:  # an account that is not named, a profile that does not exist
        raise HeadlightError(refusal(url, why_of(error))) from error
    found[0].invalidate_cache()  # of listings: what lies there may have changed
    return found


def _state(info: Mapping[str, Any]) -> str:
    """What tells a changed file, by what the store says of it."""
    mark = next((str(info[name]) for name in _MARKS if info.get(name)), "")
    return f"{info.get('size')}:{mark}"
