"""Which layers of an int8 file stray from the float file."""

from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.inputs import Array, Arrays, as_tuple
from keras_transfer.litert import FileInfo, OperatorInfo, read_flatbuffer
from keras_transfer.litert.layers import layers_of
from keras_transfer.litert.runtime import input_values


class LayerError(NamedTuple):
    """How far one layer's int8 output is from the float one's."""

    layer: str
    operator: str
    error: float  # root mean square of the difference over that of the float output; 0 is exact, 1 is nothing in common
    added: float  # the part that the layer's inputs do not have yet


def diagnose(float_file: bytes, int8_file: bytes, items: Arrays, layer_names: Collection[str] = ()) -> list[LayerError]:
    """Compares every intermediate tensor that both files hold, each channel up to a factor.

    Conversion may have divided a channel by a number that the next weights are multiplied by (`litert.equalization`).

    Args:
        float_file: the float32 file of a model, made by this process.
        int8_file: the int8 file of the same model.
        items: `[n, ...]` as the model takes them, of several inputs a tuple of arrays; a few items are enough.
        layer_names: the Keras model's layers, by whose names errors are reported.

    Returns:
        The layers in descending order of their error.
    """
    reference, quantized = read_flatbuffer(float_file), read_flatbuffer(int8_file)
    pairs = _pairs(reference, quantized)
    products = [np.zeros((3, 1))] * len(pairs)
    run_float, run_int8 = _Intermediates(float_file, reference), _Intermediates(int8_file, quantized)
    for item in zip(*as_tuple(items), strict=True):
        run_float(item)
        run_int8(item)
        for position, (_, index, same) in enumerate(pairs):
            products[position] = products[position] + _products(run_float.tensor(same), run_int8.tensor(index))
    known = {index: _error(*sums) for (_, index, _), sums in zip(pairs, products, strict=True)}

    def tensor_name(index: int) -> str:
        return quantized.tensors[index].name

    layers = [
        LayerError(
            " + ".join(layers_of(tensor_name(index), layer_names)) or tensor_name(index).split(";")[0],
            operator.name,
            round(known[index], 4),
            round(max(0.0, known[index] - max((known.get(i, 0.0) for i in operator.inputs), default=0.0)), 4),
        )
        for operator, index, _ in pairs
    ]
    return sorted(layers, key=lambda layer: -layer.error)


def _products(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sums of squares and products of each channel, float64 `[3, channels]`."""
    channels = expected.shape[-1] if expected.ndim else 1
    a, b = (values.reshape(-1, channels).astype(np.float64) for values in (expected, actual))
    return np.stack([(a * a).sum(axis=0), (a * b).sum(axis=0), (b * b).sum(axis=0)])


def _error(power: NDArray[np.float64], product: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """What is left when each channel has the factor above 0 with which it fits best."""
    explained = np.square(np.maximum(product, 0)) / np.maximum(own, 1e-30)
    return float(np.sqrt(np.maximum(power - explained, 0).sum() / max(power.sum(), 1e-12)))


def _pairs(reference: FileInfo, quantized: FileInfo) -> list[tuple[OperatorInfo, int, int]]:
    """(int8 operator, its output, the same tensor in the float file).

    Tensors are the same where their names are; the converter names some after what it fused, which differs between
    files, so what is left is paired by operator and shape in the order of computation.
    """

    def outputs(info: FileInfo) -> list[tuple[OperatorInfo, int]]:
        return [(operator, index) for operator in info.operators for index in operator.outputs]

    names = {reference.tensors[index].name: index for _, index in outputs(reference)}
    paired, pairs, left = set(), [], []
    for operator, index in outputs(quantized):
        tensor = quantized.tensors[index]
        same = names.get(tensor.name)
        if not tensor.scale:
            continue
        if same is not None and reference.tensors[same].shape == tensor.shape:
            pairs.append((operator, index, same))
            paired.add(same)
        else:
            left.append((operator, index))
    others = [(operator, index) for operator, index in outputs(reference) if index not in paired]
    ours = [(operator.name, quantized.tensors[index].shape) for operator, index in left]
    theirs = [(operator.name, reference.tensors[index].shape) for operator, index in others]
    for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            pairs.append((*left[block.a + step], others[block.b + step][1]))
    return sorted(pairs, key=lambda pair: pair[0].index)


class _Intermediates:
    """Runs a file on reference-ordered kernels that keep every tensor."""

    def __init__(self, content: bytes, info: FileInfo) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        # Without delegates: XNNPACK fuses operators, and their tensors between are never made.
        self._interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._info = info

    def __call__(self, item: Sequence[Array]) -> None:
        for entry, values in zip(self._info.inputs, item, strict=True):
            self._interpreter.set_tensor(entry, input_values(values[None], self._info.tensors[entry]))
        self._interpreter.invoke()

    def tensor(self, index: int) -> NDArray[np.float32]:
        info, values = self._info.tensors[index], self._interpreter.get_tensor(index).astype(np.float32)
        if info.scale:
            values = (values - np.float32(info.zero_point[0])) * np.float32(info.scale[0])
        return np.asarray(values)
