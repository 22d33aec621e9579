"""Thumbnails of all images, made in the background while nobody waits for others."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pyarrow.compute as pc

from headlight.explore.app.images import Pictures
from headlight.images.source import natural_key

QUIET = 0.4  # seconds since a person last asked for something
NICE = 15
BATCH = 16


class Filler:
    """Makes the thumbnails that are missing, in the order the source keeps the images.

    Arguments:
        pictures: of the run.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._stop = threading.Event()
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="thumbnails", daemon=True)

    def start(self) -> None:
        """Begins; returns at once."""
        self._thread.start()

    def wait_a_little(self) -> None:
        """Somebody asks for something: that goes first."""
        self._last = max(self._last, time.monotonic())

    def stop(self) -> None:
        """Ends after the picture being made."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        if hasattr(os, "setpriority"):  # of this thread only, on Linux
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        if self._pictures.source is None:
            return
        paths = self._pictures.paths
        if not (missing := self._pictures.cache.missing()):
            return
        names = dict(zip(missing, pc.take(paths, missing).to_pylist(), strict=True))
        for i, row in enumerate(sorted(missing, key=lambda row: natural_key(names[row]))):
            while time.monotonic() - self._last < QUIET:
                if self._stop.wait(QUIET / 2):
                    return
            if self._stop.is_set():
                return
            self._pictures.thumbnail(row)
            if i % BATCH == 0:
                time.sleep(0)  # other threads' turn
