"""How a job shows that it is alive: bars on standard error, and nothing on standard output but results."""

import sys
import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_quiet = False
_lock = threading.Lock()
_shown: Any = None
_watchers = 0


def set_quiet(quiet: bool) -> None:
    """Switches bars and remarks off (`--json`, tests) or on again."""
    global _quiet
    _quiet = quiet


def say(text: str) -> None:
    """One line to the person watching, on standard error."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def _bars() -> Iterator[Any]:
    """The bars on the terminal, one display for all that are shown at once."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    global _shown, _watchers
    with _lock:
        if not _watchers:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            _shown = Progress(*columns, console=Console(stderr=True))
            _shown.start()
        _watchers += 1
        bars = _shown
    try:
        yield bars
    finally:
        with _lock:
            _watchers -= 1
            if not _watchers:
                bars.stop()


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yields `items` behind a progress bar on standard error, shown only on a terminal.

    Where standard error is no terminal (a log, CI) one closing line is written instead, if it took over two seconds.

    Args:
        items: what to go through.
        description: what is being done, such as `"Decoding"`.
        total: how many items there are, if `items` has no length.

    >>> sum(track([1, 2, 3], "Adding"))
    6
    """
    import time

    if total is None and isinstance(items, Sized):
        total = len(items)
    if _quiet:
        yield from items
        return
    started, done = time.monotonic(), 0
    if sys.stderr.isatty():
        with _bars() as bars:
            task = bars.add_task(description, total=total)
            for item in items:
                yield item
                bars.advance(task)
        return
    for item in items:
        yield item
        done += 1
    seconds = time.monotonic() - started
    if seconds > 2:
        say(f"{description}: {done} in {seconds:.0f} s")
