"""Running a program while its time and memory are measured (Linux)."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from table import write_rows

from keras_transfer.run import processor

_EVERY = 1.0  # seconds between two looks: each takes some 10 ms a GB from what is measured


class Measured(NamedTuple):
    """What a program took: seconds, those of all cores together, the peaks of memory in MB, and what it printed.

    `peak_mb` is of the program's own process; `all_mb` of all its processes together, shared pages counted once (PSS).
    """

    seconds: float
    cpu_seconds: float
    peak_mb: int
    all_mb: int
    output: str


def run_measured(words: list[str], environment: dict[str, str] | None = None) -> Measured:
    """Runs Python on `words` and waits for its end; exit codes but 0 and 3 (a gate that failed) end this one too."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, env=os.environ | (environment or {}), text=True
    )
    over, most = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(_EVERY):
            most[0] = max(most[0], _memory_kb(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    over.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, most[0] // 1024, output)


def measure_reading(
    about: str | None, script: str, make_table: Callable[[Path, int], Path], load: Callable[[Path], dict[str, float]]
) -> None:
    """The command of a benchmark that reads made tables, each in a process of its own.

    Args:
        about: what `--help` says.
        script: the benchmark itself, which is started again to load a table.
        make_table: writes a table of so many rows.
        load: loads one, and returns figures.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--load", type=Path, help="a table to load in this process")
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(options.load)))
        return
    rows = []
    for count in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = make_table(Path(folder) / "table.csv", count)
            measured = run_measured([script, "--load", str(path)])
            size = {"processor": processor(), "rows": count, "file_mb": path.stat().st_size // 2**20}
        figures = json.loads(measured.output.splitlines()[-1])
        rows.append({**size, "peak_mb": measured.peak_mb, "cpu_seconds": round(measured.cpu_seconds, 1), **figures})
        print(rows[-1], flush=True)
    write_rows(options.csv, rows)


def _memory_kb(pid: int) -> int:
    """Proportional set size of a process and all below it, in kB."""
    total = 0
    for process in [pid, *_children(pid)]:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total


def _children(pid: int) -> list[int]:
    try:
        found = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _read(task / "children")]
    except OSError:
        return []
    return found + [below for child in found for below in _children(child)]


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
