"""How long one picture takes."""

import os
import platform
import time
from typing import Any

import numpy as np

_WARM_UP = 5
_MOST_RUNS = 100
_LEAST_RUNS = 10
_SECONDS = 1.0


def measure_latency(content: bytes) -> dict[str, Any]:
    """Times single inferences of a LiteRT file that this process made, on this machine's CPU.

    Args:
        content: the file; its inputs are filled with random values.

    Returns:
        Median and 95th percentile in milliseconds, and how they came about. They tell files apart; a phone's own
        figures are its own.
    """
    from keras_transfer.litert import open_litert

    model = open_litert(content, threads=1)
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 128, tensor.shape).astype(tensor.dtype) for tensor in model.inputs]
    for _ in range(_WARM_UP):
        model.run(arrays)
    times: list[float] = []
    while len(times) < _LEAST_RUNS or (sum(times) < _SECONDS and len(times) < _MOST_RUNS):
        started = time.perf_counter()
        model.run(arrays)
        times.append(time.perf_counter() - started)
    return {
        "median_ms": round(1000 * float(np.median(times)), 3),
        "p95_ms": round(1000 * float(np.percentile(times, 95)), 3),
        "runs": len(times),
        "warm_up": _WARM_UP,
        "threads": 1,
        "runtime": "LiteRT interpreter with its default CPU delegate",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
    }
