"""Post-training quantization of a float file: activations' ranges observed, biases corrected, layers left in float.

TensorFlow's converter would observe the ranges itself. It takes ten times as long, and it reads an addend after ADD has
written the sum into its place: in every residual block the addend gets the range of the sum as well.
"""

import copy
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from keras_transfer.decisions import UNLIKE_LAYER
from keras_transfer.inputs import Array
from keras_transfer.litert.flatbuffer import FileInfo, OperatorInfo, read_flatbuffer
from keras_transfer.litert.layers import layers_of
from keras_transfer.litert.packing import pack
from keras_transfer.litert.runtime import open_litert
from keras_transfer.litert.trust import mark_as_ours
from keras_transfer.quick_start import give_back_memory

Floats: TypeAlias = NDArray[np.float32]

_SAMPLES = 500  # values of each activation that an item gives for choosing its range
_TOGETHER = 10  # items that one thread observes: the result depends on this, but not on the number of threads
_SHRINKS = np.linspace(1.0, 0.3, 15)
_WIDENED = 2.0  # times the range of single numbers that say how unlike an item is
_LEAST_RANGE = 1e-5  # TFLM aborts where softmax's input has a step of 2^-26 or less, as in an untrained network
_FAULTY_IN_INT8 = {"DIV"}  # LiteRT 2.3: some small quotients, as of a masked mean, come out as the largest value
LINEAR = {"CONV_2D": (0, 3), "DEPTHWISE_CONV_2D": (3, 3), "FULLY_CONNECTED": (0, 1)}
"""Operator -> the axes of its weights: channels out, channels in."""


def quantize(
    prepared: bytes,
    count: int,
    read: Callable[[int], list[Array]],
    input_ranges: Sequence[tuple[float, float]],
    *,
    activations: str = "int8",
    input_dtype: str = "uint8",
    per_tensor_dense: bool = False,
    float_layers: Collection[str] = (),
    layer_names: Collection[str] = (),
) -> bytes:
    """Quantizes a float file: weights to int8 per channel, activations by their observed ranges, biases corrected.

    An int8 activation's range is the part of what was seen that loses least in the mean square: few values lie far out,
    and without them all others have finer steps (Wu et al. 2020, https://arxiv.org/abs/2004.09602). Rounding weights
    moves the mean of a layer's output; by how much follows from the mean of what the layer reads, and is subtracted
    from its bias (bias correction, Nagel et al. 2019, https://arxiv.org/abs/1906.04721).

    Args:
        prepared: what `TFLiteConverter` makes with `_experimental_calibrate_only`; its ranges are replaced.
        count: how many calibration items there are.
        read: gives the file's inputs for the item of a number, `[1, ...]` each.
        input_ranges: the least and the greatest value of each input; those of float inputs are used.
        activations: `"int8"`; or `"int16"`, with float inputs and outputs.
        input_dtype: type of an int8 file's inputs and outputs.
        per_tensor_dense: one scale for all weights of a dense layer.
        float_layers: layers whose inputs and outputs stay float, and with them all operators that touch these.
        layer_names: all layers of the Keras model, by which operators are known.

    Returns:
        The quantized file.
    """
    info, model = read_flatbuffer(prepared), schema.ModelT.InitFromPackedBuf(prepared, 0)
    tensors = model.subgraphs[0].tensors
    in_float = _float_operators(info, float_layers, layer_names)
    linear = [o for o in info.operators if o.name in LINEAR and _output_name(info, o) not in in_float]
    layers = [layer for operator in linear if (layer := _layer(model, operator, per_tensor_dense)) is not None]
    ranges, means = _observe(model, info, count, read, {layer.operator.inputs[0] for layer in layers}, activations)
    for index in _scores_of_unlikeness(info, layer_names) & ranges.keys():
        ranges[index] = _WIDENED * ranges[index][0], _WIDENED * ranges[index][1]
    for index, limits in zip(info.inputs, input_ranges, strict=True):
        # The quantizer to int16 needs a range for every input, and leaves whole numbers as they are.
        if info.tensors[index].dtype == "float32" or activations == "int16":
            ranges[index] = limits
    for index, (low, high) in ranges.items():
        tensors[index].quantization.min, tensors[index].quantization.max = (
            np.array([low], np.float32),
            np.array([max(high, low + _LEAST_RANGE)], np.float32),
        )
    give_back_memory()  # of the network that was observed
    _correct_biases(model, layers, means)
    if activations == "int16":
        return _to_int16(pack(model), per_tensor_dense)
    in_float += [_output_name(info, o) for o in info.operators if o.name in _FAULTY_IN_INT8]
    return _to_int8(pack(model), input_dtype, per_tensor_dense, in_float)


def _scores_of_unlikeness(info: FileInfo, layer_names: Collection[str]) -> set[int]:
    """The single numbers from which it follows how unlike an item is: those unlike what calibrates need more room."""
    found: set[int] = set()
    for operator in info.operators:
        own = UNLIKE_LAYER in layers_of(_output_name(info, operator), layer_names)
        if info.tensors[operator.outputs[0]].shape == (1, 1) and (own or not found.isdisjoint(operator.inputs)):
            found |= set(operator.outputs)
    return found


def _output_name(info: FileInfo, operator: OperatorInfo) -> str:
    return info.tensors[operator.outputs[0]].name


def _float_operators(info: FileInfo, float_layers: Collection[str], layer_names: Collection[str]) -> list[str]:
    """The operators that stay in float, by the names of their outputs."""
    names = {o.index: layers_of(_output_name(info, o), layer_names) for o in info.operators}
    named = [o for o in info.operators if not set(float_layers).isdisjoint(names[o.index])]
    floats = {index for o in named for index in (*o.inputs, *o.outputs)} - set(info.inputs)
    # Whatever writes or reads a float activation stays in float too: an int8 operator's inputs and outputs are int8.
    return [_output_name(info, o) for o in info.operators if not floats.isdisjoint((*o.inputs, *o.outputs))]


class _Layer(NamedTuple):
    """An operator that multiplies what it reads by constant weights."""

    operator: OperatorInfo
    errors: Floats  # what rounding adds to the weights
    bias: Floats


def _layer(model: schema.ModelT, operator: OperatorInfo, per_tensor_dense: bool) -> _Layer | None:
    """None where the weights are computed, or quantized already."""
    weights, bias = (constant(model, index) for index in (*operator.inputs[1:], -1)[:2])
    if weights is None:
        return None
    whole = per_tensor_dense and operator.name == "FULLY_CONNECTED"
    channels, _ = LINEAR[operator.name]
    # As the quantizer does it: symmetrical, -127..127.
    others = tuple(axis for axis in range(weights.ndim) if whole or axis != channels)
    step = np.abs(weights).max(axis=others, keepdims=True) / np.float32(127)
    step[step == 0] = 1
    zeros = np.zeros(weights.shape[channels], np.float32)
    return _Layer(operator, np.round(weights / step) * step - weights, zeros if bias is None else bias)


def constant(model: schema.ModelT, index: int) -> Floats | None:
    """A tensor's constant float values; None where it is absent, computed or of another type."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if index < 0 or data is None or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def _observe(
    model: schema.ModelT,
    info: FileInfo,
    count: int,
    read: Callable[[int], list[Array]],
    averaged: set[int],
    activations: str,
) -> tuple[dict[int, tuple[float, float]], dict[int, Floats]]:
    """The range of every activation over the items, and the mean of some activations and inputs."""
    tensors = model.subgraphs[0].tensors
    seen = [i for o in info.operators for i in o.outputs if getattr(tensors[i].quantization, "min", None) is not None]
    opened = open_litert(mark_as_ours(pack(with_graph(model, outputs=seen))))

    def watch(start: int) -> tuple[dict[int, list[Floats]], dict[int, Floats]]:
        random = np.random.default_rng(start)
        samples: dict[int, list[Floats]] = {index: [] for index in seen}
        sums: dict[int, Floats] = {}

        def add(inputs: list[Array], outputs: list[Array]) -> None:
            values = dict(zip((*seen, *info.inputs), (*outputs, *inputs), strict=True))
            for index in seen:
                flat = values[index].reshape(-1)
                some = flat if flat.size <= _SAMPLES else flat[random.integers(0, flat.size, _SAMPLES)]
                samples[index].append(np.concatenate([some, [flat.min(), flat.max()]]))
            for index in averaged & values.keys():
                if index in sums:
                    sums[index] += values[index]
                else:
                    sums[index] = values[index].astype(np.float32)

        for inputs in map(read, range(start, min(start + _TOGETHER, count))):
            opened.look(inputs, partial(add, inputs))
        return samples, sums

    samples: dict[int, list[Floats]] = {index: [] for index in seen}
    sums: dict[int, Floats] = {}
    with ThreadPoolExecutor(opened.threads) as pool:
        for some, part in pool.map(watch, range(0, count, _TOGETHER)):
            for index in seen:
                samples[index] += some[index]
            for index, values in part.items():
                sums[index] = np.add(sums[index], values, out=values) if index in sums else values
    choose = shrunk_range if activations == "int8" else _whole_range
    ranges = {index: choose(np.stack(rows)) for index, rows in samples.items()}
    for total in sums.values():
        total /= np.float32(count)
    return ranges, sums


def _whole_range(rows: Floats) -> tuple[float, float]:
    return min(float(rows.min()), 0.0), max(float(rows.max()), 0.0)


def shrunk_range(rows: Floats) -> tuple[float, float]:
    """The part of the whole range of an activation whose 255 steps are off least in the mean square.

    Args:
        rows: float32 `[items, values + 2]`: some values of each item, then its least and its greatest.

    Returns:
        Least and greatest value, 0 between them.
    """
    low, high = _whole_range(rows)
    values = rows[:, :-2]
    losses = []
    for shrink in _SHRINKS if high > low else ():
        step = shrink * (high - low) / 255
        kept = np.clip(values, shrink * low, shrink * high)
        losses.append(np.square(np.round(kept / step) * step - values).mean())
    best = float(_SHRINKS[int(np.argmin(losses))]) if losses else 1.0
    return best * low, best * high


def _correct_biases(model: schema.ModelT, layers: list[_Layer], means: dict[int, Floats]) -> None:
    """Subtracts from each bias what the rounded weights add in the mean, channel by channel.

    That is linear in what the layer reads, so a file of these operators alone computes it, with the errors of the
    weights as weights and the mean of what each reads as input: padding, strides and groups are as they are.
    """
    graph = model.subgraphs[0]
    layers = [layer for layer in layers if layer.operator.inputs[0] in means]
    if not layers:
        return
    alone = with_graph(model, operators=[], tensors=list(graph.tensors), inputs=[], outputs=[])
    alone.buffers = list(model.buffers)
    errors = alone.subgraphs[0]
    for layer in layers:
        read, weights = layer.operator.inputs[:2]
        operator = copy.copy(graph.operators[layer.operator.index])
        operator.builtinOptions = copy.copy(operator.builtinOptions)
        operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
        errors.inputs.append(add_tensor(alone, graph.tensors[read]))
        errors.outputs.append(add_tensor(alone, graph.tensors[layer.operator.outputs[0]]))
        zeros = np.zeros_like(layer.bias)
        operator.inputs = [
            errors.inputs[-1],
            add_tensor(alone, graph.tensors[weights], layer.errors),
            _bias(alone, zeros),
        ]
        operator.outputs = [errors.outputs[-1]]
        errors.operators.append(operator)
    outputs = open_litert(mark_as_ours(pack(alone))).run([means[layer.operator.inputs[0]] for layer in layers])
    for layer, error in zip(layers, outputs, strict=True):
        mean = error.mean(axis=tuple(range(error.ndim - 1)))
        # A bias of its own: the file's may be shared with other layers.
        graph.operators[layer.operator.index].inputs = [*layer.operator.inputs[:2], _bias(model, layer.bias - mean)]


def with_graph(model: schema.ModelT, **changes: object) -> schema.ModelT:
    """The model with another main graph; what is not changed is shared with it."""
    changed, graph = copy.copy(model), copy.copy(model.subgraphs[0])
    changed.signatureDefs, changed.subgraphs = None, [graph, *model.subgraphs[1:]]
    vars(graph).update(changes)
    return changed


def add_tensor(model: schema.ModelT, like: schema.TensorT, data: Floats | None = None) -> int:
    """Adds a float tensor, an activation or (with data) a constant, and returns its index."""
    tensor = copy.copy(like)
    tensor.buffer, tensor.quantization = 0, None
    if data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.astype(np.float32).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer, tensor.shape = len(model.buffers) - 1, np.array(data.shape, np.int32)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _bias(model: schema.ModelT, values: Floats) -> int:
    tensor = schema.TensorT()
    tensor.type, tensor.name = schema.TensorType.FLOAT32, f"bias_{len(model.buffers)}"
    return add_tensor(model, tensor, values)


def _to_int8(prepared: bytes, input_dtype: str, per_tensor_dense: bool, in_float: list[str]) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    dtype = tf.as_dtype(input_dtype)
    return bytes(
        mlir_quantize(
            prepared,
            input_data_type=dtype,
            output_data_type=dtype,
            denylisted_nodes=in_float or None,
            disable_per_channel_for_dense_layers=per_tensor_dense,
        )
    )


def _to_int16(prepared: bytes, per_tensor_dense: bool) -> bytes:
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    float32, int16, int64 = (np.dtype(name).num for name in ("float32", "int16", "int64"))
    # The newer quantizer makes biases of 32 bits, which no kernel takes with activations of 16.
    quantizer = Calibrator(prepared)._calibrator
    return bytes(quantizer.QuantizeModel(float32, float32, True, int16, int64, False, per_tensor_dense))
