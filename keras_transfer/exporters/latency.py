"""How long one item takes, and in how much memory."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.litert import open_litert, timing
from keras_transfer.litert.probe import random_values
from keras_transfer.process import start_process
from keras_transfer.progress import say, track
from keras_transfer.run import command_line
from keras_transfer.schemas import Latency, OperatorTime, OperatorTimes, Timing

_WARM_UP = 5
_MOST_RUNS = 100
_LEAST_RUNS = 10
_SECONDS = 1.0
_ROUNDS = 10
_OPERATOR_RUNS = 20


class _Summary(TypedDict):
    median_ms: float
    p95_ms: float
    runs: int


class _Answer(TypedDict, total=False):
    """What the timing process answers to a question; its own times and operators come as lists."""

    error: str
    load_s: float
    first_s: float
    peak: int
    before: int


def measure_latency(content: bytes) -> Latency:
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


def timed(run: Callable[[], object], runtime: str) -> Latency:
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
) -> list[Timing]:
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
        One entry per file, number of threads and delegate: see `keras_transfer.schemas.Timing`.

    Raises:
        InputError: a file cannot be run, or an argument is wrong.
    """
    _check(paths, threads, seconds)
    with contextlib.ExitStack() as stack:
        files = [
            stack.enter_context(_timing(Path(path), number, delegate))
            for path in paths
            for delegate in delegates
            for number in threads
        ]
        for file in files:
            file.warm_up(seconds / _ROUNDS)
        rounds = [
            [file.times(seconds / _ROUNDS) for file in files]
            for _ in track(range(_ROUNDS), f"Timing {len(files)} in turns")
        ]
        return [
            file.row([times[i] for times in rounds], [times[0] for times in rounds], operators)
            for i, file in enumerate(files)
        ]


def _check(paths: Sequence[str | Path], threads: Sequence[int], seconds: float) -> None:
    """Raises `InputError` for what cannot be timed."""
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


class _Timed:
    """One file in its own process, waiting for its turn."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path, threads: int, delegate: str) -> None:
        self._process, self._path, self._threads, self._delegate = process, path, threads, delegate
        self._loaded = self._ask({"path": str(path), "threads": threads, "delegate": delegate})
        self._warm_up = 0

    def _send(self, question: Mapping[str, str | int | float]) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        return ""

    def _ask(self, question: Mapping[str, str | int | float]) -> _Answer:
        line = self._send(question)
        answer: _Answer = json.loads(line) if line else {"error": "it ends the interpreter"}
        if "error" in answer:
            raise InputError(f"{self._path} cannot be timed with delegate {self._delegate}: {answer['error']}.")
        return answer

    def warm_up(self, seconds: float) -> None:
        """Runs whose times are not counted."""
        self._warm_up += len(self.times(seconds))

    def times(self, seconds: float) -> list[float]:
        """Seconds of single runs."""
        line = self._send({"seconds": seconds})
        times: list[float] | _Answer = json.loads(line) if line else {"error": "it ends the interpreter"}
        if isinstance(times, dict):
            raise InputError(f"{self._path} cannot be timed with delegate {self._delegate}: {times['error']}.")
        return times

    def row(self, rounds: list[list[float]], first: list[list[float]], operators: bool) -> Timing:
        """What `benchmark` returns of it."""
        memory = self._ask({"memory": True})
        ratios = [np.median(mine) / np.median(others) for mine, others in zip(rounds, first, strict=True)]
        single: OperatorTimes = {"operators": self._operators()} if operators else {}
        return {
            "file": str(self._path),
            "bytes": self._path.stat().st_size,
            "threads": self._threads,
            "delegate": self._delegate,
            **_summary([seconds for times in rounds for seconds in times]),
            "warm_up": self._warm_up + 1,  # and the first
            "load_ms": round(1000 * self._loaded["load_s"], 3),
            "first_ms": round(1000 * self._loaded["first_s"], 3),
            "peak_mb": round(memory["peak"] / 1e6, 1),
            "added_mb": round((memory["peak"] - memory["before"]) / 1e6, 1),
            "ratio": round(float(np.median(ratios)), 3),
            "machine": machine(),
            **single,
        }

    def _operators(self) -> list[OperatorTime] | None:
        if self._delegate != "xnnpack":
            return None
        line = self._send({"operators": _OPERATOR_RUNS})
        times: list[tuple[str, float]] | _Answer = json.loads(line) if line else {"error": "it ends the interpreter"}
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


def _summary(times: Sequence[float]) -> _Summary:
    return {
        "median_ms": round(1000 * float(np.median(times)), 3),
        "p95_ms": round(1000 * float(np.percentile(times, 95)), 3),
        "runs": len(times),
    }
