"""Work done in threads a little ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def mapped_ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int, name: str
) -> Iterator[R]:
    """``function`` of each item, in order.

    Arguments:
        function: called in threads.
        items: taken one by one.
        workers: number of threads.
        ahead: most items begun before the first of them is taken.
        name: of the threads.
    """
    queue: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        try:
            for item in items:
                queue.append(pool.submit(function, item))
                if len(queue) > ahead:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            for future in queue:
                future.cancel()
