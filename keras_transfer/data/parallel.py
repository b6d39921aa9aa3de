"""Work over many files at once: threads, since Pillow lets go of Python's lock while it decodes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def workers() -> int:
    """How many processors this process may use.

    >>> workers() >= 1
    True
    """
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def ordered(function: Callable[[T], R], items: Iterable[T], ahead: int | None = None) -> Iterator[R]:
    """Yields `function(item)` for each item, in order, computed by threads at most `ahead` items in advance.

    Unlike `Executor.map` it holds no more than `ahead` results, however slow the consumer is.

    >>> list(ordered(abs, [-2, 3, -1]))
    [2, 3, 1]
    """
    threads = workers()
    ahead = ahead or 4 * threads
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="keras-transfer")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
