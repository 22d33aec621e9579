"""All images below a URL."""

from __future__ import annotations

from collections.abc import Iterator

from headlight.images.file_types import claims_no_image
from headlight.images.files import inside
from headlight.images.listing import ImageRef, image_ref
from headlight.images.remote import RemoteFiles
from headlight.images.source import BadImage, ImageSource


class RemoteFolder(ImageSource):
    """The files below a prefix of a store, as `FolderSource` has those of a folder.

    Arguments:
        files: below the prefix.
    """

    def __init__(self, files: RemoteFiles) -> None:
        self._files = files
        self.uri, self.readers = files.uri, files.readers

    def walk(self) -> Iterator[ImageRef]:
        """See `ImageSource.walk`; a request for every thousand files or so of each folder."""
        others = 0
        for entry in self._files.walk():
            if claims_no_image(entry.name):
                others += 1
                continue
            problem = None
            try:
                inside(entry.name)
            except BadImage as error:
                problem = str(error)
            yield image_ref(entry.name, entry.state, problem)
        self.others = others

    def read(self, path: str, limit: int) -> bytes:
        """See `ImageSource.read`."""
        return self._files.read(path, limit)
