"""Commands in a pseudo-terminal, as a person runs and stops them."""

import os
import pty
import select
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


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
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(str(words[0]), list(map(str, words)), {**os.environ, **(environment or {})})
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
            os.write(terminal, b"\x03") if stop is press_ctrl_c else stop(process)
    _, status = os.waitpid(process, 0)
    dying = time.monotonic() + 2  # what has been killed takes a moment
    while (left := _session(process)) and time.monotonic() < dying:
        time.sleep(0.01)
    os.close(terminal)
    assert stopped, output.decode(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), output.decode(errors="replace"), left)


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
