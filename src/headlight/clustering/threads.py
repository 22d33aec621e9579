"""Fewer threads where more are slower."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager:
    """NumPy's and SciPy's linear algebra on one thread.

    Thousands of small products gain nothing from more, and where another program has one of the
    cores, threads that wait for each other made an eigenproblem of a second take half a minute.
    """
    return _controller().limit(limits=1, user_api="blas")
