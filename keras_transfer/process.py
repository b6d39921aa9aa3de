"""This process as a command: when it started, its children, and how it ends when it is stopped.

A stop is handled in a thread of its own, whatever the main thread does: importing, computing in C, waiting. Children
are killed, temporary files removed, one line is written and the process ends at once. Results stay whole because files
appear under their names by renaming (`keras_transfer.files`).
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal, TextIO, TypeAlias, TypedDict, Unpack, overload

Child: TypeAlias = "subprocess.Popen[str] | subprocess.Popen[bytes]"
Stream: TypeAlias = int | IO[bytes] | None


class ChildOptions(TypedDict, total=False):
    """Options of `subprocess.Popen` that this package uses."""

    cwd: str | Path | None
    env: Mapping[str, str] | None
    errors: str | None  # how text that is not UTF-8 is decoded


class PipedOptions(ChildOptions, total=False):
    """`ChildOptions`, and where the child's streams go."""

    stdin: Stream
    stdout: Stream
    stderr: Stream


EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_CLEAN_UP_SECONDS = 5.0
_spawning = threading.Lock()
_children: "weakref.WeakSet[Child]" = weakref.WeakSet()
_at_stop: list[Callable[[], object]] = []
_started: float | None = None
_spawner: int | None = None  # the thread that is making a child
_stopping = False

unfinished: set[Path] = set()
"""Temporary files and folders of this process: removed when it is stopped."""


@overload
def start_process(
    call: Sequence[str | Path], *, text: Literal[True], **options: Unpack[PipedOptions]
) -> "subprocess.Popen[str]": ...


@overload
def start_process(
    call: Sequence[str | Path], *, text: Literal[False] = False, **options: Unpack[PipedOptions]
) -> "subprocess.Popen[bytes]": ...


def start_process(call: Sequence[str | Path], *, text: bool = False, **options: Unpack[PipedOptions]) -> Child:
    """`subprocess.Popen` of a child that ends with this process when that is stopped.

    It is in a process group of its own: a Ctrl-C at the terminal reaches this process alone, which then ends it.

    Args:
        call: the program and its arguments.
        text: whether its streams are text.
        **options: of `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
    """
    global _spawner
    with _spawning:
        _spawner = threading.get_ident()
        try:
            child: Child = subprocess.Popen(list(map(str, call)), process_group=0, text=text, **options)
            _children.add(child)
        finally:
            _spawner = None
    if _stopping and threading.current_thread() is threading.main_thread():
        _wait_for_the_end()
    return child


@overload
def run_process(
    call: Sequence[str | Path],
    *,
    text: Literal[True],
    content: str | None = None,
    timeout: float | None = None,
    **options: Unpack[ChildOptions],
) -> "subprocess.CompletedProcess[str]": ...


@overload
def run_process(
    call: Sequence[str | Path],
    *,
    text: Literal[False] = False,
    content: bytes | None = None,
    timeout: float | None = None,
    **options: Unpack[ChildOptions],
) -> "subprocess.CompletedProcess[bytes]": ...


def run_process(
    call: Sequence[str | Path],
    *,
    text: bool = False,
    content: str | bytes | None = None,
    timeout: float | None = None,
    **options: Unpack[ChildOptions],
) -> "subprocess.CompletedProcess[str] | subprocess.CompletedProcess[bytes]":
    """`subprocess.run` with captured output, of a child as `start_process` makes it.

    Args:
        call: the program and its arguments.
        text: whether input and output are text.
        content: what it reads from standard input.
        timeout: seconds after which it is ended.
        **options: of `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it was ended after `timeout` seconds.
    """
    pipe = subprocess.PIPE
    stdin = subprocess.DEVNULL if content is None else pipe
    with start_process(call, text=text, stdin=stdin, stdout=pipe, stderr=pipe, **options) as child:  # type: ignore[call-overload]
        try:
            output, errors = child.communicate(content, timeout=timeout)
        except BaseException:
            _kill(child)
            raise
    return subprocess.CompletedProcess(call, child.returncode, output, errors)


def seconds_since_start() -> float | None:
    """Seconds since this process began, Python's own start included; None unless it is a command (`watch`)."""
    return None if _started is None else time.perf_counter() - _started


def watch(sentence: Callable[[], str]) -> None:
    """Makes this process a command that can be stopped at any moment; to be called once, early, in the main thread.

    Signals that are ignored (by `nohup`, or in the background of a script) stay so.

    Args:
        sentence: gives the line that is written to standard error when the process is stopped.
    """
    global _started
    _started = time.perf_counter() - _age()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watched = [number for number in EXIT_CODES if signal.getsignal(number) is not signal.SIG_IGN]
    threading.Thread(target=_watch, args=(reading, watched, sentence), daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in watched:
        signal.signal(number, _on_signal)


def at_stop(function: Callable[[], object]) -> None:
    """Calls a function when this process is stopped, if it is a command."""
    if _started is not None:
        _at_stop.append(function)


def _age() -> float:
    """How long ago this process was started, in seconds; 0 where the system does not say."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError, IndexError):
        return 0.0
    return age if 0 <= age < 60 else 0.0


def _on_signal(number: int, frame: object) -> None:
    """Stops the main thread, unless it is just starting a child, which must be known to be ended."""
    global _stopping
    _stopping = True
    if _spawner != threading.get_ident():
        _wait_for_the_end()


def _wait_for_the_end() -> None:
    """Sleeps until the watching thread ends the process."""
    while True:
        time.sleep(1)


def _watch(reading: int, watched: Sequence[int], sentence: Callable[[], str]) -> None:
    while number := os.read(reading, 1):
        if number[0] in watched:
            _end(EXIT_CODES[signal.Signals(number[0])], sentence())


def _end(code: int, sentence: str) -> None:
    screen = None
    with suppress(OSError, ValueError, AttributeError):  # there is no standard error, or it is no file
        screen = os.dup(sys.stderr.fileno())
    output, sys.stderr = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123  (what fails from here on is not reported)
    threading.excepthook = lambda _: None
    # In a thread: a lock that the main thread holds, or a disk that hangs, must not keep the process alive.
    cleaning = threading.Thread(target=_clean_up, args=(output,), daemon=True)
    cleaning.start()
    cleaning.join(_CLEAN_UP_SECONDS)
    with suppress(OSError):
        if screen is not None:
            # On a terminal: over a progress bar or the ^C, and with the cursor that bars hide.
            start = "\x1b[?25h\r\x1b[K" if os.isatty(screen) else ""
            os.write(screen, f"{start}{sentence}\n".encode())
    os._exit(code)


def _clean_up(output: TextIO) -> None:
    with _spawning:
        children = list(_children)
        for child in children:
            _kill(child)
    for child in children:
        with suppress(Exception):
            child.wait(1.0)
    for function in _at_stop:
        with suppress(Exception):
            function()
    for path in list(unfinished):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with suppress(Exception):
        output.flush()


def _kill(child: Child) -> None:
    """Ends a child and its own children."""
    if child.returncode is None:
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
