"""Keras models to LiteRT files, in a process of its own that is kept while the job lasts."""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.errors import InputError, KerasTransferError
from keras_transfer.inputs import TensorSpec
from keras_transfer.litert.frozen import CALIBRATED, FrozenGraph, freeze
from keras_transfer.litert.trust import vouch
from keras_transfer.process import start_process

FORMATS = ("float32", "float16", "dynamic", "int8", "16x8")
DEFAULT_FORMATS = FORMATS[:4]  # 16x8 is slow where no kernel is written for it, which is nearly everywhere
CALIBRATION_ITEMS = 100
_RENEW_AFTER = 20  # conversions: bounds what the converter leaks
_lock = threading.RLock()
_worker: "_Worker | None" = None


def convert(
    model: Any,
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    calibration: np.ndarray | None = None,
    input_dtype: str = "uint8",
    per_tensor_dense: bool = False,
    calibration_items: int = CALIBRATION_ITEMS,
    float_layers: Sequence[str] = (),
    on_frozen: Callable[[], object] | None = None,
    image_size: int | tuple[int, int] | None = None,
    pixels: str | None = None,
    item: TensorSpec | None = None,
) -> dict[str, bytes]:
    """Converts a Keras model to LiteRT files that take raw bytes: pixels in 0..255.

    Every file has a static batch of 1 and built-in operators only. Float files and `16x8` cast their `uint8` input and
    give `float32`. In the `int8` file all is integer, input and output too; where the model starts with one scale and
    offset for all channels (`keras.layers.Rescaling`), that becomes the input's quantization and costs nothing. Biases
    are corrected for what rounding the weights adds in the mean (Nagel et al. 2019, https://arxiv.org/abs/1906.04721).

    Args:
        model: `keras.Model` of any precision with one input, such as `[batch, H, W, channels]`, and one or more
            outputs, which stay as they are (`keras_transfer.as_classifier` makes probabilities of logits). A subclass
            must have been called once. For `int8` and `16x8` recurrent layers of up to 256 steps are unrolled.
        formats: any of `"float32"`, `"float16"` (weights stored as float16), `"dynamic"` (weights int8, arithmetic in
            float where it must be), `"int8"` and `"16x8"` (weights int8, activations int16).
        calibration: `uint8 [n, H, W, channels]` training images that show the range of every activation, for `int8`
            and `16x8`.
        input_dtype: input and output type of the `int8` file: `"uint8"`, or `"int8"` for microcontrollers.
        per_tensor_dense: quantize dense layers with one scale, for runtimes that know no other.
        calibration_items: at most so many of `calibration` are used, spread evenly over it.
        float_layers: names of layers whose inputs and outputs the `int8` file keeps in float, for selective
            quantization: they work in float, and so do those beside them that write or read these.
        on_frozen: called when this process has done its part, which is tracing; what else traces waits for that.
        image_size: for a model that takes any size; that of `calibration` unless given.
        pixels: for a model whose pixels were prepared outside of it, such as `"0..1"`; see
            `keras_transfer.as_classifier`.
        item: what the input holds where that is no pixels: a float32 input of an int8 file is quantized over the range
            that it states, or else over that of `calibration`.

    Returns:
        format -> content of the file.

    Raises:
        InputError: the model uses operators that LiteRT lacks, its size is open, or an argument is wrong.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> convert(model, ["float32"])["float32"][4:8]
    b'TFL3'
    """
    from keras_transfer.models import as_network

    _check(formats, input_dtype)
    if image_size is None and calibration is not None and None in (getattr(model, "input_shape", None) or ())[1:]:
        image_size = calibration.shape[1:3]
    if item is None:
        model = as_network(model, image_size=image_size, pixels=pixels)
        item = TensorSpec("image", tuple(model.inputs[0].shape[1:]), "uint8", 0, 255)
    _check_calibration(formats, calibration, item)
    _check_layers(model, float_layers)
    if calibration is not None:
        chosen = np.linspace(0, len(calibration) - 1, min(len(calibration), calibration_items)).round().astype(int)
        calibration = calibration[chosen]
    options = {
        "input_dtype": input_dtype,
        "per_tensor_dense": per_tensor_dense,
        "float_layers": list(float_layers),
        "input_range": None if item.dtype == "uint8" else _range(item, calibration),
    }
    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as place:
        folder = Path(place)
        graphs = {name: f"{name}.pb" if name in CALIBRATED else "pixels.pb" for name in formats}
        for name, graph in graphs.items():
            if not (folder / graph).exists():
                freeze(model, name, item.dtype).write(folder / graph)
        if calibration is not None and not set(CALIBRATED).isdisjoint(formats):
            np.save(folder / "calibration.npy", calibration)
        if on_frozen is not None:
            on_frozen()
        return _converted(folder, graphs, options)


def convert_frozen(graph: FrozenGraph) -> bytes:
    """Converts a graph that takes pixels as bytes to a float32 file of batch 1.

    Args:
        graph: from `freeze_batches`.

    Returns:
        The content of the file.

    Raises:
        InputError: the graph has operators that LiteRT lacks.
    """
    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as place:
        graph.write(Path(place) / "pixels.pb")
        return _converted(Path(place), {"float32": "pixels.pb"}, {})["float32"]


def _converted(folder: Path, graphs: dict[str, str], options: dict[str, Any]) -> dict[str, bytes]:
    with _lock:
        answer = _running().ask({"folder": str(folder), "graphs": graphs, "options": options})
    kind = answer.get("kind")
    if kind == "input":
        raise InputError(answer["error"])
    if kind is not None:
        raise KerasTransferError(f"The LiteRT converter failed: {answer['error']}")
    return {name: vouch((folder / f"{name}.tflite").read_bytes()) for name in graphs}


def warm_up() -> None:
    """Starts the converting process, so that its start (seconds) overlaps what the caller does next."""
    with _lock:
        _running()


def close() -> None:
    """Ends the converting process; the next conversion starts another. Done by itself when the program ends."""
    global _worker
    with _lock:
        if _worker is not None:
            _worker.close()
            _worker = None


atexit.register(close)


def _check(formats: Sequence[str], input_dtype: str) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or isinstance(formats, str) or not formats:
        raise InputError(f"`formats` must be a list out of {', '.join(FORMATS)}. Received: formats={formats!r}.")
    if input_dtype not in ("uint8", "int8"):
        raise InputError(f"`input_dtype` must be 'uint8' or 'int8'. Received: input_dtype={input_dtype!r}.")


def _check_calibration(formats: Sequence[str], calibration: np.ndarray | None, item: TensorSpec) -> None:
    wanting = [name for name in CALIBRATED if name in formats]
    if not wanting:
        return
    if calibration is None or len(calibration) == 0:
        raise InputError(
            f"{wanting[0]} needs `calibration`: some {item.dtype} training items, which show every activation's range."
        )
    if calibration.dtype != item.dtype or calibration.shape[1:] != item.shape:
        raise InputError(
            f"`calibration` must be {item.dtype} {['n', *item.shape]}. "
            f"Received: {calibration.dtype} {list(calibration.shape)}."
        )


def _range(item: TensorSpec, calibration: np.ndarray | None) -> tuple[float, float] | None:
    """The least and the greatest value that may come: as the spec states them, or else as they were seen."""
    if calibration is None:
        return None
    low = float(calibration.min()) if item.low is None else item.low
    high = float(calibration.max()) if item.high is None else item.high
    return min(low, 0.0), max(high, 0.0)  # a quantized range holds 0


def _check_layers(model: Any, names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in {layer.name for layer in model.layers}]
    if unknown or isinstance(names, str):
        raise InputError(f"`float_layers` must name layers of the model. Received: {unknown or names!r}.")


def _running() -> "_Worker":
    global _worker
    if _worker is not None and (_worker.used >= _RENEW_AFTER or _worker.process.poll() is not None):
        _worker.close()
        _worker = None
    _worker = _worker or _Worker()
    return _worker


class _Worker:
    """One converting process, its pipes, and the log it writes."""

    def __init__(self) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        # On the CPU: converting gains nothing from a GPU, and the caller may want all of its memory.
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "CUDA_VISIBLE_DEVICES": "-1",
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        environment.pop("TF_USE_LEGACY_KERAS", None)
        self.process = start_process(
            [sys.executable, "-m", "keras_transfer.litert.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )
        self.ready = False
        self.used = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sends one request and waits for its answer."""
        try:
            if not self.ready:
                self._answer()
                self.ready = True
            self.used += len(request["graphs"])
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            return self._answer()
        except (BrokenPipeError, EOFError) as error:
            self.process.wait()
            self.log.seek(0)
            tail = self.log.read()[-2000:].decode(errors="replace")
            raise KerasTransferError(
                f"The converting process ended with code {self.process.returncode}. Its last words:\n{tail}"
            ) from error
        except BaseException:  # an interrupt between question and answer: the answer must not meet the next question
            self.process.kill()
            raise

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process and closes its pipes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
