"""Channels of like ranges before int8: cross-layer equalization of a float file.

All channels of an int8 activation share one scale: what is small beside the largest channel is rounded to nothing.
What leaves a channel of a ReLU may be divided by any positive number that the next weights are multiplied by, and no
answer changes (Nagel et al. 2019, https://arxiv.org/abs/1906.04721). They choose it by the weights; but weights have a
scale for each channel, so here it is chosen by the activations. Evening these out wholly would give the next weights
channels of very different ranges, which share a scale as well: so most of the way (Xiao et al. 2023,
https://arxiv.org/abs/2211.10438).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.inputs import Array
from keras_transfer.litert.flatbuffer import FileInfo, OperatorInfo, read_flatbuffer
from keras_transfer.litert.packing import pack
from keras_transfer.litert.quantization import LINEAR, Floats, add_tensor, constant, with_graph
from keras_transfer.litert.runtime import open_litert
from keras_transfer.litert.trust import mark_as_ours

_CHANNELWISE = {"RESHAPE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN"}  # where the last axis stays
_NONE, _RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU
_SHARE = 0.75  # of the way, in logarithms; chosen on validation clips, see `docs/audio.md`
_MOST = 32.0  # XNNPACK refuses channels whose weights are too large beside their output's scale
_CLUSTERED = 64  # weights of so few values were clustered; scaled, each channel would have others


class _Joint(NamedTuple):
    """An operator that ends in ReLU, and all that read its channels."""

    writer: OperatorInfo
    readers: list[OperatorInfo]


def equalize(prepared: bytes, count: int, read: Callable[[int], list[Array]]) -> bytes:
    """The same float network, whose channels have like ranges wherever only ReLU stands between weights.

    Args:
        prepared: a float file, its activations fused.
        count: how many calibration items there are.
        read: gives the file's inputs for the item of a number, `[1, ...]` each.

    Returns:
        A file of the same operators, tensors and, up to rounding, outputs; `prepared` itself where nothing can change.
    """
    info, model = read_flatbuffer(prepared), schema.ModelT.InitFromPackedBuf(prepared, 0)
    joints = _joints(info, model)
    if not joints:
        return prepared
    found = _largest(model, [joint.writer.outputs[0] for joint in joints], count, read)
    for (writer, readers), largest in zip(joints, found, strict=True):
        factors = channel_factors(largest)
        _scale(model, writer, 1, LINEAR[writer.name][0], np.reciprocal(factors))
        _scale(model, writer, 2, 0, np.reciprocal(factors))
        for operator in readers:
            _scale(model, operator, 1, LINEAR[operator.name][1], factors)
    return pack(model)


def channel_factors(largest: Floats) -> Floats:
    """What each channel is divided by: near its range beside that of the median channel.

    Args:
        largest: float32 `[channels]`, the largest value of each, 0 or more.

    Returns:
        float32 `[channels]`, above 0; 1 where a channel was never above 0.

    >>> channel_factors(np.array([16, 1, 0, 1 / 16], np.float32)).tolist()
    [8.0, 1.0, 1.0, 0.125]
    """
    active = largest > 0
    middle = np.median(largest[active]) if active.any() else 1
    relative = np.where(active, largest / middle, 1)
    return np.asarray(np.clip(relative, 1 / _MOST, _MOST) ** _SHARE, np.float32)


def _joints(info: FileInfo, model: schema.ModelT) -> list[_Joint]:
    """Where channels can be scaled exactly: all that reads them is weights, or leaves them apart until weights do."""
    source = {index: index for index in range(-1, len(info.tensors))}  # tensor -> the one whose channels it has
    joints: dict[int, _Joint] = {}
    fixed = {-1, *info.inputs}
    for operator in info.operators:  # in the order of computation
        read = [source[index] for index in operator.inputs]
        weights = constant(model, operator.inputs[1]) if operator.name in LINEAR else None
        if weights is not None:
            if read[0] in joints and _takes_factors(info, operator, weights):
                joints[read[0]].readers.append(operator)
            else:
                fixed.add(read[0])
            if _activation(model, operator) == _RELU and not _computes_bias(model, operator):
                joints[operator.outputs[0]] = _Joint(operator, [])
        elif operator.name in _CHANNELWISE and _keeps_channels(info, model, operator):
            source[operator.outputs[0]] = read[0]
        else:
            fixed.update(read)
    fixed.update(source[index] for index in info.outputs)
    return [joint for index, joint in joints.items() if index not in fixed and joint.readers]


def _takes_factors(info: FileInfo, operator: OperatorInfo, weights: Floats) -> bool:
    """Whether each channel that is read has weights of its own, which may change."""
    own = info.tensors[operator.inputs[0]].shape[-1] == weights.shape[LINEAR[operator.name][1]]
    return own and not (weights.size > _CLUSTERED**2 and len(np.unique(weights)) <= _CLUSTERED)


def _activation(model: schema.ModelT, operator: OperatorInfo) -> int:
    """What an operator ends in: positive factors may be taken out of ReLU, but not out of ReLU6."""
    options = model.subgraphs[0].operators[operator.index].builtinOptions
    return int(getattr(options, "fusedActivationFunction", _NONE))


def _computes_bias(model: schema.ModelT, operator: OperatorInfo) -> bool:
    return max(operator.inputs[2:], default=-1) >= 0 and constant(model, operator.inputs[2]) is None


def _keeps_channels(info: FileInfo, model: schema.ModelT, operator: OperatorInfo) -> bool:
    """Whether each channel of the output, the last axis, is made of that channel of the input."""
    shape = info.tensors[operator.inputs[0]].shape
    same = shape[-1:] == info.tensors[operator.outputs[0]].shape[-1:] != ()
    if not same or _activation(model, operator) not in (_NONE, _RELU):
        return False
    if operator.name != "MEAN":
        return True
    axes = model.buffers[model.subgraphs[0].tensors[operator.inputs[1]].buffer].data
    return axes is not None and bool((np.frombuffer(bytes(axes), np.int32) % len(shape) != len(shape) - 1).all())


def _largest(model: schema.ModelT, tensors: list[int], count: int, read: Callable[[int], list[Array]]) -> list[Floats]:
    """The largest value of each channel of some tensors over all items."""
    opened = open_litert(mark_as_ours(pack(with_graph(model, outputs=tensors))))

    def look(number: int) -> list[Floats]:
        return opened.look(read(number), lambda rows: [row.reshape(-1, row.shape[-1]).max(axis=0) for row in rows])

    with ThreadPoolExecutor(opened.threads) as pool:
        return [np.max(rows, axis=0) for rows in zip(*pool.map(look, range(count)), strict=True)]


def _scale(model: schema.ModelT, operator: OperatorInfo, position: int, axis: int, factors: Floats) -> None:
    """Multiplies the weights or the bias of an operator, if there is one, along an axis."""
    changed = model.subgraphs[0].operators[operator.index]
    values = constant(model, changed.inputs[position]) if position < len(changed.inputs) else None
    if values is not None:
        index = changed.inputs[position]
        wide = factors.reshape([-1 if place == axis else 1 for place in range(values.ndim)])
        # A tensor of its own: the file's may be shared with other layers.
        new = add_tensor(model, model.subgraphs[0].tensors[index], values * wide)
        changed.inputs = [new if place == position else index for place, index in enumerate(changed.inputs)]
