"""A process that times one LiteRT file and holds nothing else: run as a script by `keras_transfer.exporters.benchmark`.

It reads one JSON value a line and answers each with one. The first is what to time: `{"path", "threads", "delegate"}`,
answered by how loading went; then `{"seconds"}` asks for single runs for about so long, `{"operators"}` for the time of
each operator over so many runs, and `{"memory"}` for the process's peak.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def peak_bytes() -> int:
    """The most memory this process ever held at once (peak resident set)."""
    try:
        # Not getrusage: after a fork that counts the parent's peak as well.
        [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class File:
    """A loaded file with its inputs filled: random bytes, and for floats random values of 0..1."""

    def __init__(self, path: str, threads: int, delegate: str) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

        kind = OpResolverType.AUTO if delegate == "xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        delegates = [] if delegate in ("xnnpack", "none") else [load_delegate(delegate)]
        self.interpreter = Interpreter(
            model_path=path,
            num_threads=threads,
            experimental_op_resolver_type=kind,
            experimental_delegates=delegates or None,
        )
        self.interpreter.allocate_tensors()
        random = np.random.default_rng(0)
        for details in self.interpreter.get_input_details():
            shape, dtype = details["shape"], details["dtype"]
            values = random.random(shape) if np.issubdtype(dtype, np.floating) else random.integers(0, 128, shape)
            self.interpreter.set_tensor(details["index"], values.astype(dtype))

    def run(self) -> float:
        """Runs once and returns the seconds it took."""
        started = time.perf_counter()
        self.interpreter.invoke()
        return time.perf_counter() - started


class _Event(ctypes.Structure):
    # ProfiledEventData of LiteRT's C API (litert/c/litert_profiler_event.h)
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_uint64 * 6),
        ("operator", ctypes.c_uint64),
        ("graph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


_OPERATOR_KINDS = (2, 8)  # an operator of the interpreter's; one that a delegate timed
_CPU = 1


def operator_times(path: str, threads: int, runs: int) -> list[tuple[str, float]]:
    """Times each operator by LiteRT's own profiler, which Python's classes do not show but its C API does.

    Returns:
        Name and mean milliseconds of each (the slowest tenth of its runs left out), in the order of execution:
        operators as XNNPACK runs them.

    Raises:
        OSError, AttributeError, ValueError: this LiteRT has no such profiler.
    """
    import ai_edge_litert

    library = ctypes.CDLL(str(Path(ai_edge_litert.__file__).with_name("libLiteRt.so")))

    def call(name: str, *arguments: Any) -> None:
        function = getattr(library, name)
        function.restype = ctypes.c_int
        if status := function(*arguments):
            raise ValueError(f"{name} answers {status}")

    def made(name: str, *arguments: Any) -> ctypes.c_void_p:
        pointer = ctypes.c_void_p()
        call(name, *arguments, ctypes.byref(pointer))
        return pointer

    free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
    options = made("LiteRtCreateOptions")
    call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
    told = {b"runtime_options_string": b"enable_profiling = true\n", b"xnnpack": b"num_threads = %d\n" % threads}
    payloads = [ctypes.create_string_buffer(text) for text in told.values()]
    for identifier, payload in zip(told, payloads, strict=True):
        call("LiteRtAddOpaqueOptions", options, made("LiteRtCreateOpaqueOptions", identifier, payload, free))
    environment = made("LiteRtCreateEnvironment", 0, None)
    model = made("LiteRtCreateModelFromFile", environment, os.fsencode(path))
    compiled = made("LiteRtCreateCompiledModel", environment, model, options)
    profiler = made("LiteRtCompiledModelGetProfiler", compiled)
    if not profiler:
        raise ValueError("LiteRT made no profiler")
    signature = made("LiteRtGetModelSignature", model, ctypes.c_size_t(0))

    def buffers(end: str) -> Any:
        count = ctypes.c_size_t()
        call(f"LiteRtGetNumSignature{end}s", signature, ctypes.byref(count))
        found = []
        for i in range(count.value):
            tensor = made(f"LiteRtGetSignature{end}TensorByIndex", signature, ctypes.c_size_t(i))
            kind = ctypes.create_string_buffer(1024)  # more than a LiteRtRankedTensorType
            call("LiteRtGetRankedTensorType", tensor, kind)
            wanted = made(
                f"LiteRtGetCompiledModel{end}BufferRequirements", compiled, ctypes.c_size_t(0), ctypes.c_size_t(i)
            )
            found.append(made("LiteRtCreateManagedTensorBufferFromRequirements", environment, kind, wanted))
        return (ctypes.c_void_p * len(found))(*(pointer.value for pointer in found))

    inputs, outputs = buffers("Input"), buffers("Output")
    ends = (ctypes.c_size_t(len(inputs)), inputs, ctypes.c_size_t(len(outputs)), outputs)
    times: dict[tuple[int, str], list[int]] = {}
    for run in range(3 + runs):
        if run == 3:  # what went before is warm-up
            times.clear()
        call("LiteRtResetProfiler", profiler)
        call("LiteRtStartProfiler", profiler)
        call("LiteRtRunCompiledModel", compiled, ctypes.c_size_t(0), *ends)
        call("LiteRtStopProfiler", profiler)
        count = ctypes.c_int()
        call("LiteRtGetNumProfilerEvents", profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        call("LiteRtGetProfilerEvents", profiler, count, events)
        shown = [event for event in events if event.kind in _OPERATOR_KINDS]
        for i, event in enumerate(shown):
            times.setdefault((i, event.tag.decode()), []).append(event.elapsed_us)
    if not times:
        raise ValueError("LiteRT's profiler saw no operator")
    # The clock ticks in whole microseconds, and many an operator takes less: a mean, without the slowest tenth.
    kept = {key: sorted(elapsed)[: max(1, round(0.9 * len(elapsed)))] for key, elapsed in times.items()}
    return [(name, float(np.mean(elapsed)) / 1000) for (_, name), elapsed in sorted(kept.items())]


def main() -> None:
    """Answers until standard input closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is no answer
    before = peak_bytes()
    task: dict[str, Any] = {}
    file: File | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        answer: Any
        try:
            if "path" in asked:
                task = asked
                started = time.perf_counter()
                file = File(asked["path"], asked["threads"], asked["delegate"])
                answer = {"load_s": time.perf_counter() - started, "first_s": file.run()}
            elif "seconds" in asked and file is not None:
                answer = [file.run()]
                while sum(answer) < asked["seconds"]:
                    answer.append(file.run())
            elif "memory" in asked:
                answer = {"peak": peak_bytes(), "before": before}
            else:
                answer = operator_times(task["path"], task["threads"], asked["operators"])
        except Exception as error:
            answer = {"error": " ".join(str(error).split())[:300] or type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
