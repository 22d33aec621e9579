"""A connection to a Ray cluster, for as long as it is needed."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headlight.errors import HeadlightError, first_line

LOCAL = "local"
SECONDS = 10  # in which a cluster answers
EXTRA = "pip install 'headlight-images[ray]'"


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Use a Ray cluster: start one, or join one.

    A process that is connected already stays so, whatever the address.

    Arguments:
        address: ``local`` starts one on this machine, which ends with the context; ``auto`` finds
            one that runs here (``ray start``) or that the environment names; else
            ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        HeadlightError: Ray is not installed, or there is no cluster at this address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked to be counted
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray.data
    except ImportError:
        raise HeadlightError(f"--ray {address} needs Ray: {EXTRA}") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised, too
    if ray.is_initialized():
        yield
        return
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        settings |= {"include_dashboard": False, "address": LOCAL}
    else:
        settings["address"] = address
    try:
        _ask_for(address)
        with warnings.catch_warnings(), _without_stderr():
            warnings.filterwarnings("ignore", "lance is not fork-safe")  # what is forked runs Ray
            ray.init(**settings)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise HeadlightError(
            f"--ray {address}: there is no Ray cluster to be reached ({first_line(error)}); give "
            "local, or start one with `ray start --head`"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _ask_for(address: str) -> None:
    """Ray waits for minutes where nobody answers.

    Raises:
        OSError, ValueError: nobody answers, or this is no address.
    """
    if address not in (LOCAL, "auto"):
        parts = urlsplit(address if "://" in address else f"//{address}")
        if not parts.hostname or not parts.port:
            raise ValueError("an address is HOST:PORT or ray://HOST:PORT")
        socket.create_connection((parts.hostname, parts.port), SECONDS).close()


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep Ray's native code from writing to the terminal that its log level was set."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
