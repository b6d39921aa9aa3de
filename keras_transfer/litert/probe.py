"""A process that runs unknown LiteRT files first: `python -m keras_transfer.litert.probe`.

The interpreter trusts its file; a damaged one can make it write past an array or end the process. So a file from
outside is run here, on a few inputs, before it is run in the caller. One process tries file after file until one
kills it.
"""

import atexit
import contextlib
import os
import select
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError
from keras_transfer.process import start_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import DTypeLike

    from keras_transfer.inputs import Array

_SECONDS = 60.0
_MEMORY = 8 << 30  # bytes of address space on top of eight times the file: a forged shape asks for more
_lock = threading.Lock()
_process: "subprocess.Popen[bytes] | None" = None


def probe(content: bytes, delegate: str = "") -> None:
    """Runs `content` on a few inputs in another process.

    Args:
        content: a file that `read_flatbuffer` has checked.
        delegate: a library that it is run with; "" for none.

    Raises:
        InputError: the file cannot be run, or running it ended or stalled the other process.
    """
    global _process
    with _lock:
        if _process is not None and _process.poll() is not None:
            _end(_process)
            _process = None
        process = _process or _start()
        _process = None  # until it has answered: after an interrupt it must not be used again
        assert process.stdin is not None and process.stdout is not None
        answer = b""
        try:
            library = delegate.encode()
            process.stdin.write(struct.pack("<QQ", len(library), len(content)) + library + content)
            process.stdin.flush()
            # select knows no pipes on Windows; there a stalling file stalls the caller
            if os.name == "nt" or select.select([process.stdout], [], [], _SECONDS)[0]:
                answer = process.stdout.readline()
        except BrokenPipeError:
            pass
        finally:
            if not answer:
                _end(process)
        if not answer:
            raise InputError("The LiteRT file is damaged: running it ends or stalls the interpreter.")
        _process = process
    if answer != b"ok\n":
        reason = answer.decode().strip().rstrip(".")
        raise InputError(f"LiteRT cannot run this file: {reason}.")


def _start() -> "subprocess.Popen[bytes]":
    package = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    return start_process(
        [sys.executable, "-m", "keras_transfer.litert.probe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def close() -> None:
    """Ends the probing process; done by itself when the program ends."""
    global _process
    with _lock:
        if _process is not None:
            _end(_process)
            _process = None


atexit.register(close)


def random_values(random: "np.random.Generator", shape: "Sequence[int]", dtype: "DTypeLike") -> "Array":
    """Values that any model takes: 0..127, and token ids that every vocabulary has.

    >>> import numpy as np
    >>> bool(random_values(np.random.default_rng(0), (1, 4), "int32").max() <= 1)
    True
    """
    import numpy as np

    largest = 1 if np.dtype(dtype) in (np.int32, np.int64, np.bool_) else 127
    return random.integers(0, largest, tuple(shape), endpoint=True).astype(dtype)


def _run(content: bytes, delegate: str) -> str:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, load_delegate

    delegates = [load_delegate(delegate)] if delegate else None
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_delegates=delegates)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for fill in ("zeros", "random", "random"):
        for details in interpreter.get_input_details():
            shape, dtype = details["shape"], details["dtype"]
            values = np.zeros(shape, dtype) if fill == "zeros" else random_values(random, shape, dtype)
            interpreter.set_tensor(details["index"], values)
        interpreter.invoke()
        for details in interpreter.get_output_details():
            interpreter.get_tensor(details["index"])
    return "ok"


def main() -> None:
    """Answers one line per file until standard input closes.

    A file is read as the lengths of its delegate's name and of its content, eight bytes each, and these two.
    """
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    while header := requests.read(16):
        library, size = struct.unpack("<QQ", header)
        delegate = requests.read(library).decode()
        content = requests.read(size)
        with contextlib.suppress(ImportError):  # Windows
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY + 8 * len(content), resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            answer = _run(content, delegate)
        except Exception as error:
            answer = " ".join(str(error).split())[:300] or type(error).__name__
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
