"""A process that times one LiteRT file and holds nothing else: run as a script by `keras_transfer.exporters.benchmark`.

It reads one JSON value per line and answers each with one. The first says what to time, `{"path", "threads",
"delegate"}`, answered by how long loading took; then `{"seconds"}` asks for single runs for about so long,
`{"operators"}` for the time of each operator over so many runs, and `{"memory"}` for the process's peak.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

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
    """A loaded file with its inputs filled: random bytes, floats of 0..1, and token ids that every vocabulary has."""

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
            largest = 1 if dtype in (np.int32, np.int64, np.bool_) else 127
            whole = random.integers(0, largest, shape, endpoint=True)
            values = random.random(shape) if np.issubdtype(dtype, np.floating) else whole
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
_WARM_UP = 3  # runs


class _Profiler:
    """A file compiled by LiteRT's C API, with its profiler, which Python's classes do not show.

    Raises:
        OSError, AttributeError, ValueError: this LiteRT has no such profiler.
    """

    def __init__(self, path: str, threads: int) -> None:
        import ai_edge_litert

        self._library = ctypes.CDLL(str(Path(ai_edge_litert.__file__).with_name("libLiteRt.so")))
        self._free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
        self._environment = self._made("LiteRtCreateEnvironment", 0, None)
        self._model = self._made("LiteRtCreateModelFromFile", self._environment, os.fsencode(path))
        self._compiled = self._made("LiteRtCreateCompiledModel", self._environment, self._model, self._options(threads))
        self._profiler = self._made("LiteRtCompiledModelGetProfiler", self._compiled)
        if not self._profiler:
            raise ValueError("LiteRT made no profiler")
        signature = self._made("LiteRtGetModelSignature", self._model, ctypes.c_size_t(0))
        inputs, outputs = self._buffers(signature, "Input"), self._buffers(signature, "Output")
        self._buffer_lists = (ctypes.c_size_t(len(inputs)), inputs, ctypes.c_size_t(len(outputs)), outputs)

    def run(self) -> list[tuple[str, int]]:
        """Runs once; name and microseconds of each operator in the order of execution, as XNNPACK runs them."""
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)
        self._call("LiteRtRunCompiledModel", self._compiled, ctypes.c_size_t(0), *self._buffer_lists)
        self._call("LiteRtStopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._call("LiteRtGetProfilerEvents", self._profiler, count, events)
        return [(event.tag.decode(), event.elapsed_us) for event in events if event.kind in _OPERATOR_KINDS]

    def _call(self, name: str, *arguments: object) -> None:
        function = getattr(self._library, name)
        function.restype = ctypes.c_int
        if status := function(*arguments):
            raise ValueError(f"{name} answers {status}")

    def _made(self, name: str, *arguments: object) -> ctypes.c_void_p:
        pointer = ctypes.c_void_p()
        self._call(name, *arguments, ctypes.byref(pointer))
        return pointer

    def _options(self, threads: int) -> ctypes.c_void_p:
        options = self._made("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        texts = {b"runtime_options_string": b"enable_profiling = true\n", b"xnnpack": b"num_threads = %d\n" % threads}
        self._payloads = [ctypes.create_string_buffer(text) for text in texts.values()]  # LiteRT keeps the addresses
        for name, payload in zip(texts, self._payloads, strict=True):
            opaque = self._made("LiteRtCreateOpaqueOptions", name, payload, self._free)
            self._call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def _buffers(self, signature: ctypes.c_void_p, end: str) -> "ctypes.Array[ctypes.c_void_p]":
        """A buffer for each input or output, as the compiled model requires it."""
        count = ctypes.c_size_t()
        self._call(f"LiteRtGetNumSignature{end}s", signature, ctypes.byref(count))
        buffers = []
        for number in range(count.value):
            tensor = self._made(f"LiteRtGetSignature{end}TensorByIndex", signature, ctypes.c_size_t(number))
            kind = ctypes.create_string_buffer(1024)  # more than a LiteRtRankedTensorType
            self._call("LiteRtGetRankedTensorType", tensor, kind)
            requirements = f"LiteRtGetCompiledModel{end}BufferRequirements"
            required = self._made(requirements, self._compiled, ctypes.c_size_t(0), ctypes.c_size_t(number))
            create = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffers.append(self._made(create, self._environment, kind, required))
        return (ctypes.c_void_p * len(buffers))(*(pointer.value for pointer in buffers))


def operator_times(path: str, threads: int, runs: int) -> list[tuple[str, float]]:
    """Times each operator by LiteRT's own profiler.

    Returns:
        Name and mean milliseconds of each (the slowest tenth of its runs left out), in the order of execution:
        operators as XNNPACK runs them.

    Raises:
        OSError, AttributeError, ValueError: this LiteRT has no such profiler.
    """
    profiler = _Profiler(path, threads)
    for _ in range(_WARM_UP):
        profiler.run()
    times: dict[tuple[int, str], list[int]] = {}
    for _ in range(runs):
        for place, (name, elapsed) in enumerate(profiler.run()):
            times.setdefault((place, name), []).append(elapsed)
    if not times:
        raise ValueError("LiteRT's profiler saw no operator")
    # The clock ticks in whole microseconds, and many an operator takes less: a mean, without the slowest tenth.
    kept = {key: sorted(elapsed)[: max(1, round(0.9 * len(elapsed)))] for key, elapsed in times.items()}
    return [(name, float(np.mean(elapsed)) / 1000) for (_, name), elapsed in sorted(kept.items())]


def main() -> None:
    """Answers until standard input closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print must not mix with answers
    before = peak_bytes()
    file: File | None = None
    path, threads = "", 1
    for line in sys.stdin:
        request = json.loads(line)
        answer: object
        try:
            if "path" in request:
                path, threads = request["path"], request["threads"]
                started = time.perf_counter()
                file = File(path, threads, request["delegate"])
                answer = {"load_s": time.perf_counter() - started, "first_s": file.run()}
            elif "seconds" in request and file is not None:
                times = [file.run()]
                while sum(times) < request["seconds"]:
                    times.append(file.run())
                answer = times
            elif "memory" in request:
                answer = {"peak": peak_bytes(), "before": before}
            else:
                answer = operator_times(path, threads, request["operators"])
        except Exception as error:
            answer = {"error": " ".join(str(error).split())[:300] or type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
