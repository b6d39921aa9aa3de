"""How long one picture takes, and in how much memory."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.litert import open_litert, timing
from keras_transfer.litert.probe import random_values
from keras_transfer.process import start_process
from keras_transfer.progress import say, track
from keras_transfer.run import command_line

_WARM_UP = 5
_MOST_RUNS = 100
_LEAST_RUNS = 10
_SECONDS = 1.0
_ROUNDS = 10
_OPERATOR_RUNS = 20


def measure_latency(content: bytes) -> dict[str, Any]:
    """Times single inferences of a LiteRT file that this process made, on this machine's CPU.

    Args:
        content: the file; its inputs are filled with random values.

    Returns:
        Median and 95th percentile in milliseconds, and how they came about. They tell files apart; a phone's own
        figures are its own.
    """
    model = open_litert(content, threads=1)
    random = np.random.default_rng(0)
    arrays = [random_values(random, tensor.shape, tensor.dtype) for tensor in model.inputs]
    return timed(lambda: model.run(arrays), "LiteRT interpreter with its default CPU delegate")


def timed(run: Callable[[], Any], runtime: str) -> dict[str, Any]:
    """Times a call after a warm-up.

    Args:
        run: one inference.
        runtime: what it is that runs it, in words.

    Returns:
        As `measure_latency`.
    """
    for _ in range(_WARM_UP):
        run()
    times: list[float] = []
    while len(times) < _LEAST_RUNS or (sum(times) < _SECONDS and len(times) < _MOST_RUNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return {**_summary(times), "warm_up": _WARM_UP, "threads": 1, "runtime": runtime, "machine": machine()}


def machine() -> str:
    """What a figure was measured on.

    >>> "CPUs" in machine()
    True
    """
    return f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}"


def benchmark(
    paths: Sequence[str | Path],
    *,
    threads: Sequence[int] = (1,),
    delegates: Sequence[str] = ("xnnpack",),
    seconds: float = 2.0,
    operators: bool = False,
) -> list[dict[str, Any]]:
    """Times LiteRT files side by side on this machine.

    Each file has a process of its own for each number of threads and each delegate, so that its memory is its own.
    The processes take turns in ten rounds, never two at once: what slows the machine for a while slows all alike, and
    `ratio`, the median over the rounds of a file's time against the first one's in the same round, says which is
    faster even where the milliseconds wander.

    Args:
        paths: LiteRT files from anywhere.
        threads: of LiteRT's CPU kernels, 1 or more each.
        delegates: `"xnnpack"` (what LiteRT takes by default on a CPU), `"none"` (LiteRT's own kernels), or the path of
            a delegate's library, such as `libedgetpu.so.1`.
        seconds: how long each is run, apart from loading and warm-up.
        operators: time each operator too, by LiteRT's profiler; with XNNPACK only.

    Returns:
        One entry a file, thread number and delegate: `file`, `bytes`, `threads`, `delegate`, `median_ms`, `p95_ms`,
        `runs`, `warm_up`, `load_ms`, `first_ms` (the first run, slower than all others), `peak_mb` (of the whole
        process) and `added_mb` (what the file and its runs added to it), `ratio`, `machine`, and with `operators`
        a list of `{"op", "ms", "share"}` in the order of execution, or None where they cannot be timed.

    Raises:
        InputError: a file cannot be run, or an argument is wrong.
    """
    if not paths:
        raise InputError("There is nothing to time. Give at least one .tflite file.")
    if not all(isinstance(number, int) and 1 <= number <= 1024 for number in threads) or not threads:
        raise InputError(f"`threads` must be numbers from 1 up. Received: threads={list(threads)}.")
    if not 0 < seconds <= 3600:
        raise InputError(f"`seconds` must be above 0, up to 3600. Received: seconds={seconds}.")
    for path in map(Path, paths):
        if path.suffix == ".keras":
            made = f"`{command_line('export', path)} --data DATA`"
            raise InputError(f"{path} is a Keras model: {made} makes .tflite files of it, which can be timed.")
        if path.is_dir():
            raise InputError(f"{path} is no run that recommends a .tflite file. Give a finished run, or .tflite files.")
        open_litert(path, threads=1)  # is it sound, and can it be run at all?
    with contextlib.ExitStack() as stack:
        timed = [
            stack.enter_context(_timing(Path(path), number, delegate))
            for path in paths
            for delegate in delegates
            for number in threads
        ]
        for one in timed:
            one.warm_up(seconds / _ROUNDS)
        rounds = [
            [one.times(seconds / _ROUNDS) for one in timed]
            for _ in track(range(_ROUNDS), f"Timing {len(timed)} in turns")
        ]
        return [
            one.row([each[i] for each in rounds], [each[0] for each in rounds], operators)
            for i, one in enumerate(timed)
        ]


class _Timed:
    """One file in its own process, waiting for its turn."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path, threads: int, delegate: str) -> None:
        self._process, self._path, self._threads, self._delegate = process, path, threads, delegate
        self._loaded = self._ask({"path": str(path), "threads": threads, "delegate": delegate})
        self._warm_up = 0

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        found = json.loads(answer) if answer else {"error": "it ends the interpreter"}
        if isinstance(found, dict) and "error" in found and "operators" not in question:
            raise InputError(f"{self._path} cannot be timed with delegate {self._delegate}: {found['error']}.")
        return found

    def warm_up(self, seconds: float) -> None:
        """Runs whose times are not counted."""
        self._warm_up += len(self.times(seconds))

    def times(self, seconds: float) -> list[float]:
        """Seconds of single runs."""
        return list(self._ask({"seconds": seconds}))

    def row(self, rounds: list[list[float]], first: list[list[float]], operators: bool) -> dict[str, Any]:
        """What `benchmark` returns of it."""
        memory = self._ask({"memory": True})
        ratios = [np.median(mine) / np.median(others) for mine, others in zip(rounds, first, strict=True)]
        found = {
            "file": str(self._path),
            "bytes": self._path.stat().st_size,
            "threads": self._threads,
            "delegate": self._delegate,
            **_summary([seconds for one in rounds for seconds in one]),
            "warm_up": self._warm_up + 1,  # and the first
            "load_ms": round(1000 * self._loaded["load_s"], 3),
            "first_ms": round(1000 * self._loaded["first_s"], 3),
            "peak_mb": round(memory["peak"] / 1e6, 1),
            "added_mb": round((memory["peak"] - memory["before"]) / 1e6, 1),
            "ratio": round(float(np.median(ratios)), 3),
            "machine": machine(),
        }
        if operators:
            found["operators"] = self._operators()
        return found

    def _operators(self) -> list[dict[str, Any]] | None:
        if self._delegate != "xnnpack":
            return None
        times = self._ask({"operators": _OPERATOR_RUNS})
        if isinstance(times, dict):
            say(f"{self._path}: single operators cannot be timed with this LiteRT ({times['error']}).")
            return None
        whole = sum(milliseconds for _, milliseconds in times) or 1.0
        return [{"op": name, "ms": round(ms, 4), "share": round(ms / whole, 4)} for name, ms in times]


@contextlib.contextmanager
def _timing(path: Path, threads: int, delegate: str) -> Iterator[_Timed]:
    # By its path and with -P: neither this package nor its folder is to be imported there, memory is measured.
    call = [sys.executable, "-P", str(timing.__file__)]
    pipe = subprocess.PIPE
    with start_process(call, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield _Timed(process, path, threads, delegate)
        finally:
            process.kill()


def _summary(times: Sequence[float]) -> dict[str, Any]:
    return {
        "median_ms": round(1000 * float(np.median(times)), 3),
        "p95_ms": round(1000 * float(np.percentile(times, 95)), 3),
        "runs": len(times),
    }
