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
from typing import TYPE_CHECKING, Unpack

import numpy as np

from keras_transfer.errors import InputError, KerasTransferError, check_options
from keras_transfer.inputs import Array, Arrays, TensorSpec, as_tuple
from keras_transfer.litert.frozen import CALIBRATED, FrozenGraph, freeze
from keras_transfer.litert.protocol import Answer, Options, Request
from keras_transfer.litert.trust import mark_as_ours
from keras_transfer.models.silent import NetworkOptions, convertible
from keras_transfer.process import start_process

if TYPE_CHECKING:
    import keras

FORMATS = ("float32", "float16", "dynamic", "int8", "16x8")
DEFAULT_FORMATS = FORMATS[:4]  # 16x8 is slow where no kernel is written for it, which is nearly everywhere
CALIBRATION_ITEMS = 100
_RENEW_AFTER = 20  # conversions: bounds what the converter leaks
_lock = threading.RLock()
_worker: "_Worker | None" = None


def convert(
    model: "keras.Model",
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    calibration: Arrays | None = None,
    input_dtype: str = "uint8",
    per_tensor_dense: bool = False,
    calibration_items: int = CALIBRATION_ITEMS,
    float_layers: Sequence[str] = (),
    on_frozen: Callable[[], object] | None = None,
    item: TensorSpec | Sequence[TensorSpec] | None = None,
    **options: Unpack[NetworkOptions],
) -> dict[str, bytes]:
    """Converts a Keras model to LiteRT files that take raw items and have a batch of 1.

    In the `int8` file all is integer, input and output too; the others give `float32`. Where a model starts with one
    scale and offset for all channels (`keras.layers.Rescaling`), that becomes the int8 input's quantization. Biases are
    corrected for what rounding the weights adds in the mean (Nagel et al. 2019, https://arxiv.org/abs/1906.04721), and
    channels behind a ReLU brought to like ranges (`keras_transfer.litert.equalization`).

    Args:
        model: `keras.Model` of any precision with one or more inputs and outputs (`keras_transfer.as_classifier` makes
            probabilities of logits). A subclass must have been called once. For `int8` and `16x8` recurrent layers of
            up to 256 steps are unrolled.
        formats: any of `"float32"`, `"float16"` (weights stored as float16), `"dynamic"` (weights int8, arithmetic in
            float where it must be), `"int8"` and `"16x8"` (weights int8, activations int16).
        calibration: training items `[n, ...]` that show the range of every activation, for `int8` and `16x8`; of
            several inputs a tuple of arrays.
        input_dtype: input and output type of the `int8` file: `"uint8"`, or `"int8"` for microcontrollers.
        per_tensor_dense: quantize dense layers with one scale, for runtimes that know no other.
        calibration_items: at most so many of `calibration` are used, spread evenly over it.
        float_layers: layers whose inputs and outputs the `int8` file keeps in float (selective quantization).
        on_frozen: called when the model is traced; what else traces waits for that.
        item: what the inputs hold; unless given, what `keras_transfer.models.silent` assumes. An int8 file quantizes a
            float input over its spec's range, or else that of `calibration`; token ids stay.
        **options: of a model whose inputs nothing says, see `keras_transfer.models.silent.NetworkOptions`.

    Returns:
        format -> content of the file.

    Raises:
        InputError: the model uses operators that LiteRT lacks, its size is open, or an argument is wrong.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> convert(model, ["float32"])["float32"][4:8]
    b'TFL3'
    """
    _check(formats, input_dtype)
    check_options("convert", options, NetworkOptions)
    if item is None:
        model, inputs = convertible(model, calibration, **options)
    else:
        inputs = (item,) if isinstance(item, TensorSpec) else tuple(item)
    _check_layers(model, float_layers)
    arrays = _calibration(formats, calibration, inputs, calibration_items)
    ranges = [_range(tensor, values) for tensor, values in zip(inputs, arrays, strict=False)]
    wanted = Options(input_dtype, per_tensor_dense, list(float_layers), ranges)
    return _convert(model, formats, inputs, arrays, wanted, on_frozen)


def convert_frozen(graph: FrozenGraph) -> bytes:
    """Converts a graph that takes items as they are to a float32 file of batch 1.

    Args:
        graph: from `freeze_batches`.

    Returns:
        The content of the file.

    Raises:
        InputError: the graph has operators that LiteRT lacks.
    """
    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as place:
        graph.write(Path(place) / "float.pb")
        return _convert_in(Path(place), {"float32": "float.pb"}, Options())["float32"]


def _calibration(
    formats: Sequence[str], calibration: Arrays | None, inputs: tuple[TensorSpec, ...], most: int
) -> list[Array]:
    """At most so many items for each input, spread evenly; none where no format is calibrated."""
    calibrated = [name for name in CALIBRATED if name in formats]
    if not calibrated:
        return []
    arrays = () if calibration is None else as_tuple(calibration)
    if not arrays or len(arrays[0]) == 0:
        dtypes = ", ".join(tensor.dtype for tensor in inputs)
        raise InputError(
            f"{calibrated[0]} needs `calibration`: some {dtypes} training items, which show every activation's range."
        )
    if len(arrays) != len(inputs):
        raise InputError(f"`calibration` must be one array for each of {len(inputs)} inputs. Received: {len(arrays)}.")
    for values, tensor in zip(arrays, inputs, strict=True):
        if values.dtype != tensor.dtype or values.shape != (len(arrays[0]), *tensor.shape):
            name = f" of {tensor.name!r}" if len(inputs) > 1 else ""
            raise InputError(
                f"`calibration`{name} must be {tensor.dtype} {['n', *tensor.shape]}. "
                f"Received: {values.dtype} {list(values.shape)}."
            )
    chosen = np.linspace(0, len(arrays[0]) - 1, min(len(arrays[0]), most)).round().astype(int)
    return [values[chosen] for values in arrays]


def _convert(
    model: "keras.Model",
    formats: Sequence[str],
    inputs: tuple[TensorSpec, ...],
    calibration: list[Array],
    options: Options,
    on_frozen: Callable[[], object] | None,
) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as place:
        folder = Path(place)
        graphs = _freeze_into(folder, model, formats, inputs)
        for number, values in enumerate(calibration):
            np.save(folder / f"calibration_{number:03}.npy", values)
        if on_frozen is not None:
            on_frozen()
        return _convert_in(folder, graphs, options)


def _freeze_into(
    folder: Path, model: "keras.Model", formats: Sequence[str], inputs: tuple[TensorSpec, ...]
) -> dict[str, str]:
    """Writes the graphs that the formats are converted from; returns format -> file name."""
    graphs = {name: f"{name}.pb" if name in CALIBRATED else "float.pb" for name in formats}
    for name, graph in graphs.items():
        if not (folder / graph).exists():
            freeze(model, name, inputs).write(folder / graph)
    return graphs


def _convert_in(folder: Path, graphs: dict[str, str], options: Options) -> dict[str, bytes]:
    """Has the converting process convert the graphs of a folder; returns format -> file."""
    with _lock:
        answer = _running().ask(Request(str(folder), graphs, options))
    if answer.kind == "input":
        raise InputError(answer.error)
    if answer.kind == "fault":
        raise KerasTransferError(f"The LiteRT converter failed: {answer.error}")
    return {name: mark_as_ours((folder / f"{name}.tflite").read_bytes()) for name in graphs}


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


def _range(tensor: TensorSpec, calibration: Array) -> tuple[float, float] | None:
    """The least and the greatest value of a float input: as its spec states them, or else as they were seen."""
    if not tensor.dtype.startswith("float"):
        return None
    low = float(calibration.min()) if tensor.low is None else tensor.low
    high = float(calibration.max()) if tensor.high is None else tensor.high
    return min(low, 0.0), max(high, 0.0)  # a quantized range holds 0


def _check_layers(model: "keras.Model", names: Sequence[str]) -> None:
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

    def ask(self, request: Request) -> Answer:
        """Sends one request and waits for its answer."""
        try:
            if not self.ready:
                self._answer()
                self.ready = True
            self.used += len(request.graphs)
            assert self.process.stdin is not None
            self.process.stdin.write(request.to_json() + "\n")
            self.process.stdin.flush()
            return self._answer()
        except (BrokenPipeError, EOFError) as error:
            self.process.wait()
            self.log.seek(0)
            tail = self.log.read()[-2000:].decode(errors="replace")
            raise KerasTransferError(
                f"The converting process ended with code {self.process.returncode}. The end of its log:\n{tail}"
            ) from error
        except BaseException:  # an interrupt between question and answer: the answer must not meet the next question
            self.process.kill()
            raise

    def _answer(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return Answer(**json.loads(line))

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
