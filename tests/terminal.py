"""Commands in a pseudo-terminal, as a person runs and stops them."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Runs what follows in the foreground of the terminal that is its standard input, if it is one. Tests may themselves run
# in the background, where SIGINT is ignored, and that is inherited.
AT_A_PROMPT = (
    sys.executable,
    "-c",
    "import fcntl, os, signal, sys, termios\n"
    "if os.isatty(0): fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])",
)


class Ended(NamedTuple):
    """How a command ended: its exit code (negative: by that signal), what it wrote, and processes that it left."""

    code: int
    output: str
    left: list[str]


def in_terminal(
    words: Sequence[str | Path],
    stop: Callable[[int], object],
    when: Callable[[str], bool],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Runs a command and stops it.

    Args:
        words: the command.
        stop: what is done then; it is given the process's number, `press_ctrl_c` is one.
        when: says, from what was written so far, whether the moment has come.
        environment: changes to this process's.
    """
    terminal, end = pty.openpty()
    words = [*AT_A_PROMPT, *map(str, words)]
    with subprocess.Popen(
        words, stdin=end, stdout=end, stderr=end, start_new_session=True, env={**os.environ, **(environment or {})}
    ) as child:
        os.close(end)
        try:
            return _watched(child, terminal, stop, when)
        finally:
            child.kill()
            os.close(terminal)


def _watched(
    child: "subprocess.Popen[bytes]", terminal: int, stop: Callable[[int], object], when: Callable[[str], bool]
) -> Ended:
    output, stopped, deadline = b"", False, time.monotonic() + 300
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.01)[0]:
            try:
                block = os.read(terminal, 1 << 16)
            except OSError:  # Linux: the other end is closed
                break
            if not block:
                break
            output += block
        if not stopped and when(output.decode(errors="replace")):
            stopped = True
            os.write(terminal, b"\x03") if stop is press_ctrl_c else stop(child.pid)
    code = child.wait(10)
    dying = time.monotonic() + 2  # what has been killed takes a moment
    while (left := _session(child.pid)) and time.monotonic() < dying:
        time.sleep(0.01)
    assert stopped, output.decode(errors="replace")
    return Ended(code, output.decode(errors="replace"), left)


def press_ctrl_c(process: int) -> None:
    """The terminal itself sends SIGINT to its foreground processes."""


def _session(leader: int) -> list[str]:
    """The command lines of processes that are left of a session (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] not in "ZX":
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    return found
