"""Files that hold many images each, below a folder or URL, by names relative to it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from headlight.errors import HeadlightError, first_line, reason
from headlight.images.folder import file_state, hidden, read_file
from headlight.images.source import BadImage

T = TypeVar("T")

SHARDS = (".parquet", ".tar")
# What may lie beside shards without being data.
_ASIDE = (".md", ".json", ".txt", ".idx", ".crc")


class Entry(NamedTuple):
    """A file or folder.

    Arguments:
        name: relative to the root, with ``/`` between folders.
        folder: whether it is one.
        state: what tells a changed file; empty for a folder.
    """

    name: str
    folder: bool
    state: str


class Files(ABC):
    """Files below one place.

    Arguments:
        uri: opens the source again.
        names: of the files; None: all there are.
    """

    readers = 0

    def __init__(self, uri: str, names: Sequence[str] | None = None) -> None:
        self.uri, self.names = uri, names

    @abstractmethod
    def children(self, folder: str) -> list[Entry]:
        """What is in a folder, in any order.

        Raises:
            HeadlightError: it can't be listed.
        """

    @abstractmethod
    def entry(self, name: str) -> Entry:
        """One file.

        Raises:
            HeadlightError: it isn't there, or can't be asked for.
        """

    @abstractmethod
    def read(self, name: str, limit: int) -> bytes:
        """See `ImageSource.read`."""

    @abstractmethod
    def read_range(self, name: str, start: int, size: int) -> bytes:
        """So many bytes of a file; fewer if it ends before.

        Raises:
            BadImage, HeadlightError: as `ImageSource.read`.
        """

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """A file to read and seek in; raises what the system raises."""

    @abstractmethod
    def where(self, name: str) -> str:
        """A file as messages name it."""

    @abstractmethod
    def demand(self, name: str, call: Callable[[], T]) -> T:
        """What ``call`` returns, of a file that the source can't do without.

        Raises:
            HeadlightError: it can't be read. What is wrong with its content is raised as it is: who
                knows the format has words for that.
        """

    @abstractmethod
    def attempt(self, call: Callable[[], T]) -> T:
        """What ``call`` returns, of one image.

        Raises:
            BadImage, HeadlightError: as `ImageSource.read`.
        """

    def walk(self, ending: str = "") -> Iterator[Entry]:
        """All files, folder by folder, in the order of their names; hidden ones are passed over.

        Arguments:
            ending: of those wanted, where they are not named.
        """
        if self.names is not None:
            yield from map(self.entry, self.names)
            return
        waiting = [Entry("", True, "")]
        while waiting:
            entry = waiting.pop()
            if not entry.folder:
                if entry.name.endswith(ending):
                    yield entry
                continue
            inside = [e for e in self.children(entry.name) if not hidden(base(e.name))]
            waiting += sorted(inside, reverse=True)


class LocalFiles(Files):
    """Files of this machine.

    Arguments:
        root: the folder.
        names: as in `Files`.
        uri: as in `Files`; the folder if left out.
    """

    def __init__(
        self, root: Path, names: Sequence[str] | None = None, uri: str | None = None
    ) -> None:
        super().__init__(uri or str(root.resolve()), names)
        self.root = root

    def children(self, folder: str) -> list[Entry]:
        """See `Files.children`; links to folders are not followed."""
        prefix = folder and folder + "/"
        found = []
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found.append(Entry(prefix + entry.name, True, ""))
                    elif entry.is_file():
                        found.append(Entry(prefix + entry.name, False, file_state(entry.stat())))
        except OSError as error:
            raise HeadlightError(f"{error.filename} can't be read: {reason(error)}") from error
        return found

    def entry(self, name: str) -> Entry:
        """See `Files.entry`."""
        return self.demand(name, lambda: Entry(name, False, file_state((self.root / name).stat())))

    def read(self, name: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        return read_file(self.root / inside(name), limit)

    def read_range(self, name: str, start: int, size: int) -> bytes:
        """See `Files.read_range`."""

        def read() -> bytes:
            with self.open(name) as stream:
                stream.seek(start)
                return stream.read(size)

        return self.attempt(read)

    def open(self, name: str) -> IO[bytes]:
        """See `Files.open`."""
        return (self.root / inside(name)).open("rb")

    def where(self, name: str) -> str:
        """See `Files.where`."""
        return str(self.root / name)

    def demand(self, name: str, call: Callable[[], T]) -> T:
        """See `Files.demand`."""
        try:
            return call()
        except OSError as error:
            if error.errno is None:  # PyArrow's, of what is in the file
                raise
            raise HeadlightError(f"{self.where(name)} can't be read: {reason(error)}") from error

    def attempt(self, call: Callable[[], T]) -> T:
        """See `Files.attempt`."""
        try:
            return call()
        except BadImage:
            raise
        except Exception as error:  # PyArrow raises almost anything on damaged files
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            why = reason(error) if isinstance(error, OSError) else first_line(error)
            raise BadImage(f"unreadable: {why}", gone) from error


def base(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def inside(name: str) -> str:
    """The name, if it can't lead out of the root; else `BadImage`."""
    if name.startswith("/") or ".." in name.split("/"):
        raise BadImage("a path outside the source")
    return name


def shards_in(names: Sequence[str], listed: Callable[[str], Sequence[str]]) -> str | None:
    """``.parquet`` or ``.tar`` if a folder holds such files, and nothing else that shows.

    Arguments:
        names: of what is in the folder.
        listed: names of what is in a folder below it; empty for a file.
    """
    data = [name for name in names if _shows(base(name))]
    for ending in SHARDS:
        if data and all(n.endswith(ending) or _leads_to(n, ending, listed) for n in data):
            return ending
    return None


def local_shards_in(folder: Path) -> str | None:
    """As `shards_in`, of a folder of this machine."""

    def listed(name: str) -> list[str]:
        with suppress(OSError):
            return [f"{name}/{one}" for one in sorted(os.listdir(folder / name))]  # noqa: PTH208
        return []

    return shards_in(sorted(os.listdir(folder)), listed)  # noqa: PTH208


def _leads_to(name: str, ending: str, listed: Callable[[str], Sequence[str]]) -> bool:
    """Whether files with that ending lie in a folder, or in the first of its folders, and so on."""
    while names := [one for one in listed(name) if _shows(base(one))]:
        if any(one.endswith(ending) for one in names):
            return True
        name = names[0]
    return False


def _shows(name: str) -> bool:
    """Not hidden, no text beside the data, none of the marks that writers of shards leave."""
    return not name.startswith((".", "_")) and not name.endswith(_ASIDE) and name != "LICENSE"
