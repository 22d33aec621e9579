"""From what the user typed to a source of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from headlight.errors import HeadlightError
from headlight.images.files import SHARDS, Files, LocalFiles, local_shards_in, shards_in
from headlight.images.folder import FolderSource
from headlight.images.source import ImageSource
from headlight.images.urls import checked_url, expanded, scheme_of

LISTS = (".txt", ".csv", ".tsv")


def open_source(spec: str | os.PathLike[str] | ImageSource) -> ImageSource:
    """The source that ``spec`` names.

    Arguments:
        spec: a folder (walked recursively), a Parquet or tar file or a folder of them, a pattern
            such as ``shard-{000..015}.tar``, a text or CSV file of paths and URLs, a URL of any of
            these (``s3://``, ``gs://``, ``az://``, ``hf://``, ``http://``, ``https://``; over HTTP
            no folders, but single images), or ``digits``. A folder counts as Parquet or tar when it
            holds such files and nothing else that shows.

    Raises:
        HeadlightError: there is no such folder or file, it is none of these, it can't be reached,
            or what reads it is not installed.
    """
    if isinstance(spec, ImageSource):
        return spec
    text = os.fspath(spec)
    if (scheme := scheme_of(text)) and scheme != "file":
        url = checked_url(text)
        if scheme in ("http", "https") and (urlsplit(text).path or "/").endswith("/"):
            raise HeadlightError(
                f"{url}: over HTTP no folder can be listed: give a text file of the images' URLs, "
                "a Parquet or tar file, or a bucket (s3://, gs://, az://)"
            )
        return _remote(url)
    path = Path(url2pathname(urlsplit(text).path) if scheme else text)
    if text == "digits" and not path.exists():
        from headlight.images.digits import DigitsSource

        return DigitsSource()
    if path.is_dir():
        return _folder(path)
    if path.exists():
        return _local(path.parent, [path.name], str(path.resolve()))
    if "{" in text:
        root, names = _pattern(os.fspath(path))
        uri = os.path.join(Path(root or ".").resolve(), os.fspath(path)[len(root) :])  # noqa: PTH118
        return _local(Path(root or "."), names, uri)
    raise HeadlightError(f"{path}: no such folder or file")


def _folder(path: Path) -> ImageSource:
    ending = local_shards_in(path)
    return _shards(LocalFiles(path), ending) if ending else FolderSource(path)


def _local(folder: Path, names: Sequence[str], uri: str) -> ImageSource:
    ending = Path(names[0]).suffix
    if ending in SHARDS:
        return _shards(LocalFiles(folder, names, uri), ending)
    if ending in LISTS and len(names) == 1:
        from headlight.images.listed import ListSource, read_list

        files = LocalFiles(folder.resolve(), names, uri)
        return ListSource(uri, files, read_list(files, names[0], ending))
    raise _unfit(uri)


def _remote(url: str) -> ImageSource:
    from headlight.images.listed import ListSource, read_list
    from headlight.images.remote import RemoteFiles
    from headlight.images.remote_folder import RemoteFolder

    root, names = _pattern(url)
    if root.endswith("://"):
        root, names = url + "/", []  # of a whole bucket, or nothing but a host
    root, over_http = root.rstrip("/"), scheme_of(url) in ("http", "https")
    name = urlsplit(url).path if over_http else url
    ending = Path(name).suffix if names else ""
    if ending in SHARDS:
        return _shards(RemoteFiles(root, names, url), ending)
    if ending in LISTS and len(names) == 1:
        files = RemoteFiles(root, names, url)
        return ListSource(url, files, read_list(files, names[0], ending))
    if len(names) > 1 or name.endswith((".tar.gz", ".tgz")):
        raise _unfit(url)
    if over_http:
        return ListSource(url, RemoteFiles(root), [url])
    files = RemoteFiles(url)
    folders = {""}

    def listed(folder: str) -> list[str]:
        if folder not in folders:
            return []
        entries = files.peek(folder)
        folders.update(entry.name for entry in entries if entry.folder)
        return [entry.name for entry in entries]

    inside = listed("")
    if not inside and names and not files.entry("").folder:
        return ListSource(url, RemoteFiles(root), [url])
    found = shards_in(inside, listed)
    return _shards(files, found) if found else RemoteFolder(files)


def _shards(files: Files, ending: str) -> ImageSource:
    if ending == ".tar":
        from headlight.images.tar import TarSource

        return TarSource(files)
    from headlight.images.parquet import ParquetSource

    return ParquetSource(files)


def _pattern(text: str) -> tuple[str, list[str]]:
    """The folder above the first brace, with its slash, and the names in it that are meant."""
    head = text.partition("{")[0]
    root = head[: head.rfind("/") + 1]
    return root, list(expanded(text[len(root) :]))


def _unfit(where: str) -> HeadlightError:
    if where.endswith((".tar.gz", ".tgz")):
        return HeadlightError(
            f"{where} is compressed, so that no image in it can be read alone: decompress it "
            "(`gunzip`), or unpack it and give the folder"
        )
    return HeadlightError(
        f"{where} is one file: give the folder that holds the images, a Parquet or tar file, or a "
        "list of images (.txt, .csv)"
    )
