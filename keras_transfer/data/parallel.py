"""Work over many files at once, in threads: decoders release Python's lock."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import tensorflow as tf

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


@contextmanager
def ahead(items: Iterable[T], count: int) -> Iterator[Iterator[T]]:
    """Makes `items` in a thread of their own from now on, at most `count` ahead of the consumer.

    >>> with ahead([1, 2, 3], count=2) as made:
    ...     list(made)
    [1, 2, 3]
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(count)
    stopped = threading.Event()
    end = StopIteration()

    def make() -> None:
        over: BaseException = end
        try:
            for item in items:
                waiting.put((item, None))
                if stopped.is_set():
                    return
        except BaseException as error:  # raised again in the consumer
            over = error
        finally:
            getattr(items, "close", bool)()  # of a generator: it may hold threads
        waiting.put((None, over))

    def take() -> Iterator[T]:
        while True:
            item, over = waiting.get()
            if over is end:
                return
            if over is not None:
                raise over
            yield item  # type: ignore[misc]

    thread = threading.Thread(target=make, name="keras-transfer-ahead", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            with suppress(queue.Empty):
                waiting.get(timeout=0.05)


def without_autotune(dataset: "tf.data.Dataset") -> "tf.data.Dataset":
    """The dataset without tf.data's own tuning of threads, for datasets that state all their numbers.

    The tuning's thread can miss the call to end and sleeps on (TensorFlow 2.21), and closing an iterator waits for it:
    of fits of some seconds half took up to twice as long.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
