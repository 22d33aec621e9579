"""Images that a text or CSV file lists, by path or URL."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from headlight.errors import HeadlightError, first_line, reason
from headlight.images.files import Files, LocalFiles
from headlight.images.folder import file_state, read_file
from headlight.images.listing import ImageRef, image_id, image_ref
from headlight.images.remote import READERS, RemoteFiles, require
from headlight.images.source import BadImage, ImageSource
from headlight.images.urls import SCHEMES, public_url, scheme_of

COLUMNS = ("path", "file", "url", "image", "file_name", "filename")
MOST_BYTES = 2**30  # of the list


class Listed(NamedTuple):
    """One entry.

    Arguments:
        name: of the image; nothing secret is left in it.
        address: where to read it: a URL or a path.
        problem: why it can't be read; None if nothing speaks against it.
    """

    name: str
    address: str
    problem: str | None = None


class ListSource(ImageSource):
    """The images of a list of paths and URLs.

    Paths are relative to the folder of the list, or absolute; in a list behind a URL they are
    relative to that, and never of this machine. Images are named as the list names them, less what
    is secret in a URL: passwords, tokens, signatures. What a URL answers with is taken to be the
    same as long as the URL is: nothing is asked for before it is read.

    Arguments:
        uri: opens the source again.
        beside: what paths are relative to.
        entries: paths and URLs; see `read_list`.

    Raises:
        HeadlightError: what reads a kind of URL in the list is not installed.
    """

    def __init__(self, uri: str, beside: Files, entries: Sequence[str]) -> None:
        self.uri, self._beside, self._entries = uri, beside, entries
        schemes = {scheme_of(entry) for entry in entries}
        for scheme in schemes & SCHEMES.keys():
            require(scheme)
        self.readers = READERS if schemes & SCHEMES.keys() or beside.readers else 0
        self._stores: dict[str, RemoteFiles] = {}
        self._addresses: dict[str, str] = {}
        self._problems: dict[str, str] = {}

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`."""
        for entry in self._entries:
            name, address, problem = self._listed(entry)
            state = name
            if not problem and not scheme_of(address):
                try:
                    state = file_state(Path(address).stat())
                except OSError as error:
                    problem = f"unreadable: {reason(error)}"
                except ValueError:  # a character no path has
                    problem = "not a path"
            if problem:
                self._problems[name] = problem
            elif address != name:
                self._addresses[name] = address
            yield image_ref(name, state, problem)

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`; nothing that is not in the list is read."""
        if not _has(self._ids, image_id(path)):
            raise BadImage("not an image of this source", gone=True)
        if path in self._problems:
            raise BadImage(self._problems[path])
        address = self._addresses.get(path, path)
        if not (scheme := scheme_of(address)):
            return read_file(Path(address), limit)
        host, _, inside = address[len(scheme) + 3 :].partition("/")
        root = f"{scheme}://{host}"
        if root not in self._stores:
            self._stores[root] = RemoteFiles(root, vital=False)
        return self._stores[root].read(inside, limit)

    @cached_property
    def _ids(self) -> np.ndarray:
        return np.sort(self.listing.ids)

    def _listed(self, entry: str) -> Listed:
        scheme = scheme_of(entry)
        local = isinstance(self._beside, LocalFiles)
        if scheme in SCHEMES:
            try:
                return Listed(public_url(entry), entry)
            except ValueError:
                return Listed(entry, entry, "not a URL")
        if scheme == "file" and local:
            return Listed(entry, url2pathname(urlsplit(entry).path))
        if scheme:
            return Listed(entry, entry, f"{scheme}:// is not a kind of source here")
        if not local and (entry.startswith("/") or ".." in entry.split("/")):
            return Listed(entry, entry, "a path of this machine in a list from elsewhere")
        return Listed(entry, os.path.join(self._beside.where(""), entry))  # noqa: PTH118


def read_list(files: Files, name: str, ending: str) -> list[str]:
    """The paths and URLs in a text file, one a line, or in a CSV file with a column of them.

    Empty lines, and in a text file those that begin with ``#``, don't count.

    Arguments:
        files: holds the file.
        name: of the file.
        ending: ``.txt``, ``.csv`` or ``.tsv``, which tells its format.

    Raises:
        HeadlightError: it can't be read, is not text in UTF-8, or has no column of paths.
    """
    where = files.where(name)
    try:
        text = files.read(name, MOST_BYTES).decode("utf-8-sig")
        if ending == ".txt":
            lines = map(str.strip, text.splitlines())
            return [line for line in lines if line and not line.startswith("#")]
        rows = csv.DictReader(io.StringIO(text), delimiter="," if ending == ".csv" else "\t")
        found = {str(field).strip().lower(): field for field in rows.fieldnames or ()}
        column = next((found[name] for name in COLUMNS if name in found), None)
        if column is None:
            raise HeadlightError(
                f"{where} has no column of paths: call it {' or '.join(COLUMNS)} (found "
                f"{', '.join(found)[:200]})"
            )
        return [value.strip() for row in rows if (value := row[column]) and value.strip()]
    except BadImage as error:
        raise HeadlightError(f"{where} can't be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadlightError(
            f"{where} is not a list of images ({first_line(error)}): write one path or URL a "
            "line, in UTF-8"
        ) from error


def _has(ids: np.ndarray, wanted: int) -> bool:
    i = int(np.searchsorted(ids, wanted))
    return i < len(ids) and bool(ids[i] == wanted)
