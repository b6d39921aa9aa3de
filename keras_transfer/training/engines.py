"""What computes a frozen network on many items: TensorFlow or LiteRT, whichever a short timing shows faster."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count, islice
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, InputSpec, as_tuple, like_lengths
from keras_transfer.litert import convert_frozen, open_litert
from keras_transfer.litert.frozen import FrozenGraph, freeze_batches, pack_inputs
from keras_transfer.models import multiply_adds
from keras_transfer.training.kernels import matrix_speed

if TYPE_CHECKING:
    import tensorflow as tf

Engine = Callable[[Iterable[Arrays]], Iterator[tuple[Array, ...]]]
"""Items in; for each, in order, a tuple of arrays out: one for each tensor, without the batch axis."""

# Below this many items the LiteRT conversion (some seconds) costs more than it saves.
SMALL_JOB = 256
# The most by which the engines' outputs may differ, as a share of the largest value of an output.
ENGINE_TOLERANCE = 1e-3
_BATCH = 16  # larger ones are hardly faster on a CPU, and hold memory that the process then never gives back
_WINDOW = 1024  # items that are sorted by their length
_FIRST, _LAST = 1, 5  # the batches on which TensorFlow and both are timed: fixed, so that a run can be repeated
_DEPTHWISE = (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
_ENOUGH = 0.5  # of a matrix multiplication's speed


def choose_engine(prefix: keras.Model, n_items: int, dtypes: Sequence[str] | None = None) -> Engine:
    """Keras's own graph on a GPU and for small jobs; elsewhere TensorFlow or LiteRT, whichever computes faster.

    LiteRT is several times as fast where convolutions are depthwise, TensorFlow faster where they are not. The first
    items are TensorFlow's. Where no convolution is depthwise and it reaches half the speed of a matrix multiplication,
    nothing would be much faster, and it goes on; else LiteRT's file is made meanwhile, and then both are timed on one
    batch.

    Args:
        prefix: a model to one or more tensors.
        n_items: how many items are to come.
        dtypes: of their arrays, one for each input of `prefix`; by default `uint8` for floats, else the
            input's own.

    Returns:
        See `Engine`.
    """
    import tensorflow as tf

    if (
        tf.config.list_physical_devices("GPU")
        or n_items <= SMALL_JOB
        or os.environ.get("KERAS_TRANSFER_ENGINE") == "keras"
    ):
        return keras_engine(prefix)
    # Where convolutions are depthwise LiteRT's file is always worth making: half a matrix multiplication's speed is
    # what TensorFlow reaches there at best, and LiteRT reaches nine tenths of it.
    depthwise = any(isinstance(layer, _DEPTHWISE) for layer in prefix._flatten_layers())
    dtypes = dtypes or ["uint8" if tensor.dtype == "float32" else tensor.dtype for tensor in prefix.inputs]
    return _faster(freeze_batches(prefix, dtypes), 0.0 if depthwise else multiply_adds(prefix) / matrix_speed())


def _faster(graph: FrozenGraph, least: float) -> Engine:
    """TensorFlow at first, and then what `choose_engine` says; `least` seconds per item would be the best."""
    plain, batches = graph_engine(graph), count()
    chosen: list[Engine] = []
    converting: list[Future[Engine]] = []

    def run(items: Iterable[Arrays]) -> Iterator[tuple[Array, ...]]:
        items = iter(items)
        while not chosen and (batch := list(islice(items, _BATCH))):
            number = next(batches) if len(batch) == _BATCH else None
            if number == _LAST:
                wait(converting)  # which would take a core from what is timed
            started = time.perf_counter()
            outputs = list(plain(batch))
            seconds = time.perf_counter() - started
            yield from outputs
            if number == _FIRST and seconds < len(batch) * least / _ENOUGH:
                chosen.append(plain)
            elif number == _FIRST:
                pool = ThreadPoolExecutor(1)
                converting.append(pool.submit(litert_engine, graph))  # in a process of its own
                pool.shutdown(wait=False)
            elif number == _LAST:
                chosen.append(_timed(converting[0], batch, outputs, seconds) or plain)
        if chosen:
            yield from chosen[0](items)

    return run


def _timed(
    converting: Future[Engine], sample: list[Arrays], outputs: list[tuple[Array, ...]], seconds: float
) -> Engine | None:
    """What is converted, if it gives these outputs in fewer seconds."""
    try:
        engine = converting.result()
    except InputError:  # an operator that LiteRT lacks
        return None
    if not all(map(_agree, next(engine(sample[:1])), outputs[0])):
        return None
    list(engine(sample[: _BATCH // 2]))  # the first pass allocates
    started = time.perf_counter()
    list(engine(sample))
    return engine if time.perf_counter() - started < seconds else None


def _agree(actual: Array, expected: Array) -> bool:
    if actual.shape != expected.shape:
        return False
    return bool(np.abs(actual - expected).max() <= ENGINE_TOLERANCE * max(1e-6, float(np.abs(expected).max())))


def litert_engine(graph: FrozenGraph) -> Engine:
    """Runs a graph as a float32 LiteRT file, one item at a time on every core.

    Args:
        graph: to one or more tensors.

    Returns:
        See `Engine`.

    Raises:
        InputError: the graph has an operator that LiteRT lacks.
    """
    file = open_litert(convert_frozen(graph))
    return lambda items: file.map_arrays(map(as_tuple, items))


def graph_engine(graph: FrozenGraph) -> Engine:
    """Runs a graph in TensorFlow, in batches: its weights are constants, so BatchNorm is folded into convolutions.

    Args:
        graph: to one or more tensors.

    Returns:
        See `Engine`.
    """
    import tensorflow as tf

    whole = tf.Graph()
    with whole.as_default():
        tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(graph.graph), name="")
    # A session makes no function of the graph, which takes as long again.
    call = tf.compat.v1.Session(graph=whole).make_callable(graph.outputs, feed_list=graph.inputs)
    return _in_batches(lambda arrays: call(*arrays), _BATCH)


def padded_engine(prefix: keras.Model, spec: InputSpec) -> Engine:
    """Runs `prefix` on items that are filled up: those of like length together, so that little padding is computed.

    Args:
        prefix: a model to one or more tensors, on inputs of any length.
        spec: what the items are.

    Returns:
        See `Engine`. Outputs that are as long as their item are filled up with zeros to the spec's length.
    """
    call, whole = _keras_call(prefix), (spec.padded.shape[0] or 1 if spec.padded is not None else 1)
    open_ended = [len(tensor.shape) > 1 and tensor.shape[1] is None for tensor in prefix.outputs]

    def run(items: Iterable[Arrays]) -> Iterator[tuple[Array, ...]]:
        items = iter(items)
        while window := [as_tuple(item) for item in islice(items, _WINDOW)]:
            columns = tuple(np.stack(column) for column in zip(*window, strict=True))
            answers: list[tuple[Array, ...]] = [()] * len(window)
            for part, arrays in like_lengths(columns, spec, _BATCH):
                outputs = call(list(arrays))
                for row, i in enumerate(part):
                    answers[i] = tuple(
                        _filled_up(output[row], whole) if is_open else output[row]
                        for output, is_open in zip(outputs, open_ended, strict=True)
                    )
            yield from answers

    return run


def _filled_up(values: Array, length: int) -> Array:
    filled = np.zeros((length, *values.shape[1:]), values.dtype)
    filled[: len(values)] = values
    return filled


def keras_engine(prefix: keras.Model) -> Engine:
    """Runs `prefix` as Keras does, in batches: ready at once, and slower than a graph of constant weights.

    Args:
        prefix: a model to one or more tensors.

    Returns:
        See `Engine`.
    """
    import tensorflow as tf

    return _in_batches(_keras_call(prefix), 64 if tf.config.list_physical_devices("GPU") else 8)


def _keras_call(prefix: keras.Model) -> Callable[[list[Array]], list[Array]]:
    """A model as a function of one array for each input, `[b, ...]`, in inference mode."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True, jit_compile=False, autograph=False)
    def call(arrays: list["tf.Tensor"]) -> list["tf.Tensor"]:
        inputs = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, prefix.inputs, strict=True)]
        return list(tf.nest.flatten(prefix(pack_inputs(prefix, inputs), training=False)))

    return lambda arrays: [tensor.numpy() for tensor in call(arrays)]


def _in_batches(call: Callable[[list[Array]], list[Array]], size: int) -> Engine:
    def compute(batch: list[Arrays]) -> list[tuple[Array, ...]]:
        padded = batch + [batch[0]] * (size - len(batch))  # one shape, one trace
        columns = zip(*map(as_tuple, padded), strict=True)
        return list(zip(*call([np.stack(column) for column in columns]), strict=True))[: len(batch)]

    def run(items: Iterable[Arrays]) -> Iterator[tuple[Array, ...]]:
        items = iter(items)
        with ThreadPoolExecutor(1) as pool:  # the next batch is computed while the last one's outputs are stored
            last = None
            while batch := list(islice(items, size)):
                following = pool.submit(compute, batch)
                if last is not None:
                    yield from last.result()
                last = following
            if last is not None:
                yield from last.result()

    return run
