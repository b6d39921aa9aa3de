"""Running LiteRT files in LiteRT for Microcontrollers (TFLM): its own kernels, on this machine.

The PyPI package `tflite-micro` is TFLM as its makers build it. It aborts the process on a file it dislikes and on an
arena far too small, so every attempt is a process of its own, forked from one that has the package loaded.
"""

import io
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.extras import require
from keras_transfer.inputs import Array
from keras_transfer.process import run_process

ALIGNMENT = 16  # bytes: TFLM's own for tensors and the arena
_SECONDS = 600.0
_MOST = 1 << 30


def has_tflm() -> bool:
    """Whether the package that brings TFLM is installed."""
    return find_spec("tflite_micro") is not None


def least_arena(content: bytes) -> int:
    """Returns the least tensor arena, in bytes, with which TFLM runs a file here.

    Found by bisection over multiples of 16, each size tried by allocating, the last one by running, too. Pointers are
    of 8 bytes here and of 4 on a microcontroller, so that with the reference kernels a device needs no more than this;
    optimized kernels (CMSIS-NN, ESP-NN) may ask for scratch memory beyond it.

    Args:
        content: a file that `read_flatbuffer` has checked.

    Raises:
        InputError: TFLM cannot run the file, or is not installed.
    """
    return int(_ask("least", {"content": np.frombuffer(content, np.uint8)})["least"])


def run_tflm(content: bytes, items: Array, arena: int) -> Array:
    """Runs a file on items in TFLM with an arena of `arena` bytes.

    Args:
        content: a file with one input and one output.
        items: `[n, ...]` of the input's type and shape without its batch axis.
        arena: in bytes.

    Returns:
        The raw outputs, `[n, ...]` without the batch axis.

    Raises:
        InputError: TFLM cannot run the file with such an arena, or is not installed.
    """
    request = {"content": np.frombuffer(content, np.uint8), "items": items, "arena": np.array(arena)}
    return _ask("run", request)["outputs"]


def _ask(what: str, arrays: dict[str, Array]) -> dict[str, Array]:
    require("tflite_micro", "microcontroller", "Running a file in LiteRT for Microcontrollers")
    package = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    request = io.BytesIO()
    np.savez(request, **arrays)  # type: ignore[arg-type]
    try:
        call = [sys.executable, "-m", "keras_transfer.litert.tflm", what]
        done = run_process(call, content=request.getvalue(), timeout=_SECONDS, env=environment)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"TFLM did not finish this file in {_SECONDS:.0f} s.") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        words = lines[-1].rstrip(".") if lines else f"its process ended with code {done.returncode}"
        raise InputError(f"TFLM cannot run this file: {words}.")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
        return dict(answer)


def _attempt(content: bytes, items: Array | None, arena: int) -> Array:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena)
    if items is None:
        details = interpreter.get_input_details(0)
        items = np.zeros(details["shape"], details["dtype"])
    outputs = []
    for item in items:
        interpreter.set_input(item[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0])
    return np.stack(outputs)


def _works(content: bytes, arena: int, *, run: bool = False) -> bool:
    """Tries a size in a fork, silently."""
    from tflite_micro import runtime

    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            if run:
                _attempt(content, None, arena)
            else:
                runtime.Interpreter.from_bytes(content, arena_size=arena)  # allocates all that a run needs
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _least(content: bytes, *, run: bool = False) -> int:
    """The least arena, by allocating; where that does not do to run, by running, which also says why it cannot."""
    high = 1 << 16
    while not _works(content, high, run=run):
        high *= 2
        if high > _MOST:
            _attempt(content, None, _MOST)  # raises why, or ends this process
            raise MemoryError(f"needs an arena of more than {_MOST >> 20} MiB")
    low = 0
    while high - low > ALIGNMENT:
        middle = (low + high) // 2 // ALIGNMENT * ALIGNMENT
        low, high = (low, middle) if _works(content, middle, run=run) else (middle, high)
    return high if run or _works(content, high, run=True) else _least(content, run=True)


def main() -> None:
    """Answers one request: arrays on standard input, arrays on standard output."""
    import resource

    from tflite_micro import runtime  # noqa: F401  (once, before the forks)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as request:
        content = request["content"].tobytes()
        if sys.argv[1] == "least":
            answer = {"least": np.array(_least(content))}
        else:
            answer = {"outputs": _attempt(content, request["items"], int(request["arena"]))}
    written = io.BytesIO()
    np.savez(written, **answer)  # type: ignore[arg-type]
    answers.write(written.getvalue())
    answers.flush()


if __name__ == "__main__":
    main()
