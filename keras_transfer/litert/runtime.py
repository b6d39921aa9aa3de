"""Running LiteRT files: one single-threaded interpreter per core, faster than one interpreter on all cores."""

import os
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import two_columns
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, InputSpec, as_tuple, open_preparer
from keras_transfer.litert.flatbuffer import FileInfo, TensorInfo, read_flatbuffer
from keras_transfer.litert.trust import is_ours
from keras_transfer.models.silent import item_dtype
from keras_transfer.progress import say, track

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Delegate, Interpreter

T = TypeVar("T")
_CHUNK = 4  # items per task: keeps the cost of passing them between threads small beside a small network's time


def open_litert(
    path_or_bytes: str | Path | bytes,
    threads: int | None = None,
    trusted: bool | None = None,
    delegate: str = "",
    inputs: InputSpec | None = None,
) -> "LiteRT":
    """Opens a LiteRT file for running.

    Args:
        path_or_bytes: the file, or its content.
        threads: how many items are computed at once; by default the cores this process may use.
        trusted: whether the file may be run without being tried in another process first. By default only what this
            process made is trusted: a damaged file can end the process that runs it.
        delegate: a library that computes some operators on a device of its own, such as `libedgetpu.so.1`; one
            item is computed at a time then.
        inputs: what it takes, of a file without metadata; unless given, what `keras_transfer.models.silent` assumes.

    Returns:
        The file, ready to predict.

    Raises:
        InputError: there is no such file, it is not a valid LiteRT file, or the delegate cannot be loaded.
    """
    if isinstance(path_or_bytes, bytes):
        content, name = path_or_bytes, "LiteRT file"
    else:
        name = str(path_or_bytes)
        try:
            content = Path(path_or_bytes).read_bytes()
        except OSError as error:
            raise InputError(f"Cannot read {name}: {error.strerror or error}.") from error
    try:
        info = read_flatbuffer(content)
        if trusted is None:
            trusted = is_ours(content)
        if delegate:
            _check_delegate(delegate)
        if not trusted:
            from keras_transfer.litert.probe import close, probe

            probe(content, delegate)
            if delegate:
                close()  # which frees the device
        return LiteRT(content, info, 1 if delegate else threads, delegate, inputs)
    except InputError as error:
        raise InputError(f"{name}: {error}") if not isinstance(path_or_bytes, bytes) else error from None


class LiteRT:
    """An opened LiteRT file; made by `open_litert`.

    Attributes:
        inputs: name, shape, dtype, scale and zero point of each input, as the file states them.
        outputs: the same of each output.
        info: all that the file holds.
        threads: how many items are computed at once.
    """

    def __init__(
        self,
        content: bytes,
        info: FileInfo,
        threads: int | None = None,
        delegate: str = "",
        inputs: InputSpec | None = None,
    ) -> None:
        self.info = info
        self._silent_inputs = inputs
        self.inputs: list[TensorInfo] = [info.tensors[i] for i in info.inputs]
        self.outputs: list[TensorInfo] = [info.tensors[i] for i in info.outputs]
        self._content = content
        self.threads = threads or _cores()
        self._delegates = [_load_delegate(delegate)] if delegate else []
        self._idle: queue.LifoQueue[Interpreter] = queue.LifoQueue()
        self._idle.put(self._interpreter())  # the others are made when they are needed
        self._to_make = iter(range(1, self.threads))

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Runs the file once on arrays of its own types and shapes, and returns its raw outputs.

        Any number of threads may call it; `threads` of them are served at once.

        Args:
            arrays: one array per input, batch axis included.
        """
        return self.look(arrays, lambda outputs: [output.copy() for output in outputs])

    def look(self, arrays: Sequence[Array], use: Callable[[list[Array]], T]) -> T:
        """As `run`, but gives the outputs, uncopied, to `use`, which must keep none of them; returns what it returns.

        Args:
            arrays: as for `run`.
            use: is called with the raw outputs.
        """
        for tensor, array in zip(self.inputs, arrays, strict=True):
            if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
                raise InputError(
                    f"Input {tensor.name!r} must be {tensor.dtype} {list(tensor.shape)}. "
                    f"Received: {array.dtype} {list(array.shape)}."
                )
        with self._borrowed() as interpreter:
            return use(_invoke(interpreter, arrays))

    def map(self, items: Iterable[Arrays]) -> Iterator[tuple[Array, ...]]:
        """Yields the raw outputs of each item in order, computed on all threads a bounded way ahead.

        Args:
            items: as `preparation` takes them; of several inputs a tuple of arrays, one for each.

        Yields:
            One array per output, without the batch axis.
        """
        return self._map(items, self.preparation())

    def map_arrays(self, items: Iterable[Sequence[Array]]) -> Iterator[tuple[Array, ...]]:
        """As `map`, but of arrays as the file takes them, one for each input, without the batch axis."""
        return self._map(items, lambda item: item)

    def _map(self, items: Iterable[T], prepare: Callable[[T], Sequence[Array]]) -> Iterator[tuple[Array, ...]]:
        items = iter(items)

        def work(chunk: list[T]) -> list[tuple[Array, ...]]:
            with self._borrowed() as interpreter:
                return [
                    tuple(out[0].copy() for out in _invoke(interpreter, [array[None] for array in prepare(item)]))
                    for item in chunk
                ]

        pending: deque[Future[list[tuple[Array, ...]]]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="litert")
        try:
            while chunk := list(islice(items, _CHUNK)):
                pending.append(pool.submit(work, chunk))
                if len(pending) > 2 * self.threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def predict(self, items: Arrays | Iterable[Arrays], description: str | None = None) -> NDArray[np.float32]:
        """Returns class probabilities.

        Args:
            items: `[n, ...]`, of a file with several inputs a tuple of such arrays; or any iterable of items as for
                `map`.
            description: the title of a progress bar; none is shown without it.

        Returns:
            `float32 [n, classes]`, dequantized; the one unit of a binary head becomes two columns.
        """
        return self._predict(items, description)[0]

    def predict_with_scores(self, items: Arrays | Iterable[Arrays]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `predict`, and how unlike the training items each is, `float32 [n]`: the file's second output `[1, 1]`."""
        probabilities, scores = self._predict(items)
        if scores is None:
            raise InputError("This file has no second output that says how unlike its training items an item is.")
        return probabilities, scores

    def _predict(
        self, items: Arrays | Iterable[Arrays], description: str | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        if len(self.outputs) != 1 and [tensor.shape for tensor in self.outputs[1:]] != [(1, 1)]:
            raise InputError(f"A classifier has one output; this file has {len(self.outputs)}: use `run` or `map`.")
        if isinstance(items, tuple) and len(self.inputs) > 1:
            items = list(zip(*items, strict=True))
        total = len(items) if isinstance(items, Sized) else None
        rows = self.map(items)
        raw = list(track(rows, description, total) if description else rows)
        values = np.stack([row[0].reshape(-1) for row in raw]) if raw else np.empty((0, self.outputs[0].shape[-1]))
        probabilities = as_probabilities(values, self.outputs[0])
        if len(self.outputs) == 1:
            return probabilities, None
        scores = np.array([row[1].reshape(-1)[0] for row in raw])
        return probabilities, _dequantized(scores, self.outputs[1])

    def preparation(self) -> Callable[[Arrays], tuple[Array, ...]]:
        """Returns the function from an item to what the inputs take of it, the batch axis left out.

        What an item holds for each input, the file's metadata says: bytes, whole numbers, or floats in their own range,
        which are quantized. Without metadata it is what `keras_transfer.models.silent.item_dtype` assumes.
        """
        if not all(tensor.shape and tensor.shape[0] == 1 for tensor in self.inputs):
            raise InputError(f"Inputs must have a batch of 1. This file's are {[list(t.shape) for t in self.inputs]}.")
        dtypes = self._item_dtypes
        converts = [self._conversion(tensor, dtype) for tensor, dtype in zip(self.inputs, dtypes, strict=True)]

        def prepare(item: Arrays) -> tuple[Array, ...]:
            arrays = as_tuple(item)
            if len(arrays) != len(converts):
                raise InputError(
                    f"Items must have an array for each of {len(converts)} inputs. Received: {len(arrays)}."
                )
            for array, tensor, dtype in zip(arrays, self.inputs, dtypes, strict=True):
                if array.dtype != dtype or array.shape != tensor.shape[1:]:
                    name = f" for {tensor.name!r}" if len(arrays) > 1 else ""
                    raise InputError(
                        f"Items{name} must be {dtype} {list(tensor.shape[1:])}. "
                        f"Received: {array.dtype} {list(array.shape)}."
                    )
            return tuple(convert(array) for convert, array in zip(converts, arrays, strict=True))

        return prepare

    @cached_property
    def _item_dtypes(self) -> list[str]:
        """What items hold: as the metadata says, or else as it is assumed."""
        from keras_transfer.litert.labels import read_inputs

        inputs = read_inputs(self._content) or self._silent_inputs
        if inputs is not None and inputs.tensors:
            spec = open_preparer(inputs.modality, inputs.preparation).spec(inputs.tensors)
            if len(spec.tensors) != len(self.inputs):
                raise InputError(f"The file has {len(self.inputs)} inputs, its metadata {len(spec.tensors)}.")
            return [tensor.dtype for tensor in spec.tensors]  # not what a file from anywhere calls it
        if len(self.inputs) > 1:
            return [tensor.dtype for tensor in self.inputs]
        [tensor] = self.inputs
        return [item_dtype(tensor.shape[1:], tensor.dtype, is_ours(self._content))]

    def _conversion(self, tensor: TensorInfo, item_dtype: str) -> Callable[[Array], Array]:
        """The function from what an item holds to what an input takes of it."""
        if item_dtype != "uint8" or tensor.dtype in ("uint8", "int8"):
            return partial(input_values, tensor=tensor)
        if tensor.dtype != "float32":
            raise InputError(f"Bytes cannot be given to input {tensor.name!r} of type {tensor.dtype}.")
        from keras_transfer.litert.labels import read_normalization

        known = read_normalization(self.info)
        if known is None and not is_ours(self._content):
            say("The file does not say how its float input is normalized; bytes are given as they are, 0..255.")
        mean, std = known if known is not None else (np.float32(0), np.float32(1))
        return lambda values: (values.astype(np.float32) - mean) / std

    @contextmanager
    def _borrowed(self) -> "Iterator[Interpreter]":
        """An interpreter that nobody else uses meanwhile."""
        try:
            interpreter = self._idle.get_nowait()
        except queue.Empty:
            number = next(self._to_make, None)  # one thread at a time gets a number
            interpreter = self._interpreter() if number is not None else self._idle.get()
        try:
            yield interpreter
        finally:
            self._idle.put(interpreter)

    def _interpreter(self) -> "Interpreter":
        from ai_edge_litert.interpreter import Interpreter

        try:
            delegates = self._delegates or None
            interpreter = Interpreter(model_content=self._content, num_threads=1, experimental_delegates=delegates)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot run this file: {' '.join(str(error).split())}.") from error
        return interpreter


def _check_delegate(library: str) -> None:
    """Raises `InputError` where there is no such library or it is no delegate; leaves its device alone."""
    import ctypes

    try:
        known = hasattr(ctypes.CDLL(library), "tflite_plugin_create_delegate")
    except OSError as error:
        raise InputError(f"Cannot load the delegate {library} ({error}). Install the device's runtime.") from error
    if not known:
        raise InputError(f"{library} is a library, but no LiteRT delegate. Give the one of the device's runtime.")


def _load_delegate(library: str) -> "Delegate":
    from ai_edge_litert.interpreter import load_delegate

    try:
        return load_delegate(library)
    except ValueError as error:  # with libedgetpu: no device
        raise InputError(f"The delegate {library} does not start ({error}). Is its device there?") from error


def as_probabilities(values: Array, output: TensorInfo) -> NDArray[np.float32]:
    """Dequantizes raw outputs `[n, units]`, and shows one sigmoid unit as the two columns `[1 - p, p]`."""
    return two_columns(_dequantized(values, output))


def _dequantized(values: Array, output: TensorInfo) -> NDArray[np.float32]:
    if output.scale and output.dtype != "float32":
        values = (values.astype(np.float32) - np.float32(output.zero_point[0])) * np.float32(output.scale[0])
    return np.asarray(values, np.float32)


def input_values(values: Array, tensor: TensorInfo) -> Array:
    """What a file made here takes of an item's values, `[...]`: bytes less 128 where it is int8, or else quantized."""
    if str(values.dtype) == tensor.dtype:
        return values
    if values.dtype == np.uint8 and tensor.dtype == "int8":
        return np.asarray((values ^ np.uint8(128)).view(np.int8))
    return quantized(values, tensor)


def quantized(values: Array, tensor: TensorInfo) -> Array:
    """Values in their own range as a tensor holds them: by its scale and zero point, where it has them."""
    kind = np.dtype(tensor.dtype)
    if kind.kind == "f" or not tensor.scale:
        return values.astype(kind)
    steps = np.rint(values / np.float32(tensor.scale[0])) + tensor.zero_point[0]
    limits = np.iinfo(kind)
    return np.asarray(np.clip(steps, limits.min, limits.max), kind)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _invoke(interpreter: "Interpreter", arrays: Sequence[Array]) -> list[Array]:
    """The outputs where they lie: the interpreter runs again only when they are let go."""
    for details, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return [interpreter.tensor(details["index"])() for details in interpreter.get_output_details()]
