"""A backbone cut into stages, found from the graph alone: at the places where its weights can be split off."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras

from keras_transfer.errors import InputError
from keras_transfer.models.graph import Node, cut_nodes, nodes, size
from keras_transfer.models.preprocessing import NAME as PREPROCESSING

_POOLING = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_ATTENTION = ("MultiHeadAttention", "GroupedQueryAttention", "Attention", "AdditiveAttention")


Group: TypeAlias = tuple[list[Node], keras.KerasTensor]
"""Consecutive calls, and the tensor that carries everything on from them."""


@dataclass(frozen=True)
class Stage:
    """Consecutive layers of a backbone, from one place where its weights can be split off to the next.

    Attributes:
        name: `stage0`, `stage1`, ... from the input up.
        index: the number in the name.
        layers: the layers in topological order, preprocessing included.
        output: the KerasTensor that carries everything from this stage to the next.
    """

    name: str
    index: int
    layers: tuple[keras.layers.Layer, ...]
    output: keras.KerasTensor


def stages(model: keras.Model) -> list[Stage]:
    """Cuts the backbone of a classifier into stages, from the input up.

    A stage ends at a *block output*: a cut (see `cut_points`) that is not inside a block. The inside of an inverted
    bottleneck shows in its channels, which rise and fall again; padding belongs to the layer that needs it. Of the
    blocks that work on equally many positions (places in a map, tokens, time steps; within a factor of the square root
    of two along each axis) the last ends a stage. Where that leaves one stage, as of the blocks of a transformer or the
    layers of a dense network, each block with a kernel of its own is a stage; normalizations belong to the block
    before, and the dense layers of a transformer to the attention before. A stage without weights (a last pooling)
    joins its neighbour. Architectures whose blocks read two earlier ones (NASNet) can be cut in few places and so have
    few stages.

    Args:
        model: a functional or Sequential model; it need not come from `build_classifier`.

    Returns:
        The stages; together they hold every layer below the head once. Empty where there is no backbone with weights.

    Raises:
        InputError: the model has no graph.

    >>> inputs = keras.Input((32, 32, 3))
    >>> x = keras.layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    >>> x = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="b")(x)
    >>> x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    >>> [[layer.name for layer in stage.layers] for stage in stages(keras.Model(inputs, x))]
    [['a'], ['b']]
    """
    body, blocks = _blocks(model)
    ends = {id(end) for end in _last_of_each(blocks, _scales(model, blocks))}
    groups = _merged(_grouped(body, ends), _weighted)
    if len(groups) == 1:
        groups = _merged(_grouped(groups[0][0], {id(node.output) for node in blocks}), _has_kernel)
        first = next((place for place, (group, _) in enumerate(groups) if _attends(group)), None)
        if first is not None:  # what is before the first attention, such as embeddings, is a stage of its own
            groups = _merged(groups[:first], lambda group: False) + _merged(groups[first:], _attends)
    return [
        Stage(f"stage{index}", index, tuple(_layers(group)), output)
        for index, (group, output) in enumerate(_with_shared(groups))
        if _weighted(group)
    ]


def block_outputs(model: keras.Model) -> list[keras.KerasTensor]:
    """Where the blocks of a classifier's backbone end, from the input up: the depths at which it can be cut short.

    A block has a kernel that mixes channels; a depthwise convolution belongs to what comes after it.

    Args:
        model: a functional or Sequential model.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.ReLU(name="relu")(keras.layers.Conv2D(4, 3, name="a")(inputs))
    >>> x = keras.layers.Conv2D(4, 3, name="b")(x)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    >>> [tensor.shape[1] for tensor in block_outputs(model)]
    [6, 4]
    """
    body, blocks = _blocks(model)
    groups = _merged(_grouped(body, {id(node.output) for node in blocks}), _has_kernel)
    return [output for group, output in groups if _mixes(group)]


def head_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers after the backbone: global pooling (or flattening) and all that follows.

    Args:
        model: a functional or Sequential model.

    Returns:
        The layers in topological order; where nothing pools, those from the first flat tensor on. In a dense network,
        where every tensor is flat, the last layer with a kernel and the weightless ones around it.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.GlobalMaxPooling2D(name="pool")(keras.layers.Conv2D(4, 3)(inputs))
    >>> [layer.name for layer in head_layers(keras.Model(inputs, keras.layers.Dense(2, name="logits")(x)))]
    ['pool', 'logits']
    """
    return _layers(_split(model)[1])


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers below the head, preprocessing included, in topological order."""
    return _layers(_split(model)[0])


def can_train(layer: keras.layers.Layer) -> bool:
    """Whether a layer has weights that training could move, be it frozen now or not.

    Fixed preprocessing (statistics of a `Normalization`, our channel swap, a sound's DFT) has weights that never train.
    """
    fixed = isinstance(layer, keras.layers.Normalization) or layer.name.startswith(PREPROCESSING)
    return bool(layer.weights) and not fixed


def _weighted(group: list[Node]) -> bool:
    return any(node.layer is not None and can_train(node.layer) for node in group)


def _layers(group: Sequence[Node]) -> list[keras.layers.Layer]:
    return list(dict.fromkeys(node.layer for node in group if node.layer is not None))


def _has_kernel(group: list[Node]) -> bool:
    """Whether a group has a matrix to train: normalizations and biases have vectors alone."""
    return _weighted(group) and any(len(weight.shape) > 1 for layer in _layers(group) for weight in layer.weights)


def _mixes(group: list[Node]) -> bool:
    """Whether a group has a matrix to train that is not that of a depthwise convolution."""
    return _has_kernel([node for node in group if not isinstance(node.layer, _DEPTHWISE)])


def _attends(group: list[Node]) -> bool:
    """Whether a group lets positions attend to one another: by such a layer, or by multiplying two tensors."""
    kinds = ((type(node.operation).__name__, len(node.inputs)) for node in group)
    return any(kind in _ATTENTION or (kind == "Matmul" and tensors == 2) for kind, tensors in kinds)


def _grouped(order: list[Node], ends: set[int]) -> list[Group]:
    """The calls up to each of `ends` and its tensor; those after the last end are in no group."""
    groups: list[Group] = []
    group: list[Node] = []
    for node in order:
        group.append(node)
        if id(node.output) in ends:
            groups.append((group, node.output))
            group = []
    return groups


def _merged(groups: list[Group], complete: Callable[[list[Node]], bool]) -> list[Group]:
    """The groups, each that is not complete joined to the one before, the first to the one after."""
    merged: list[Group] = []
    for group, output in groups:
        if merged and not (complete(group) and complete(merged[-1][0])):
            merged[-1] = (merged[-1][0] + group, output)
        else:
            merged.append((group, output))
    return merged


def _with_shared(groups: list[Group]) -> list[Group]:
    """The groups, those that call one layer with weights (ALBERT's blocks) joined with all between them."""
    joined: list[Group] = []
    for group, output in groups:
        layers = {layer for layer in _layers(group) if can_train(layer)}
        first = next((i for i, (earlier, _) in enumerate(joined) if not layers.isdisjoint(_layers(earlier))), None)
        if first is not None:
            group = [node for earlier, _ in joined[first:] for node in earlier] + group
            del joined[first:]
        joined.append((group, output))
    return joined


def _split(model: keras.Model) -> tuple[list[Node], list[Node]]:
    """The calls of the backbone and of the head.

    The head starts at the first cut that pools globally, or that has no positions any more: a squeeze-and-excite
    branch pools too, but is no cut. Where nothing ever had positions it starts after the last kernel but one.
    """
    order = nodes(model)
    has_positions = any(len(tensor.shape) > 2 for tensor in model.inputs)
    for node in cut_nodes(model):
        flat = len(node.output.shape) <= 2
        if isinstance(node.operation, _POOLING) or (flat and has_positions):
            start = next(position for position, other in enumerate(order) if other.output is node.output)
            return order[:start], order[start:]
        has_positions = has_positions or not flat
    if any(len(node.output.shape) > 2 for node in order):
        return order, []
    weighted = [position for position, node in enumerate(order) if _weighted([node])]
    kernels = [position for position in weighted if _has_kernel([order[position]])]
    last = kernels[-1] if kernels else len(order)
    start = max((position + 1 for position in weighted if position < last), default=0)
    return order[:start], order[start:]


def _blocks(model: keras.Model) -> tuple[list[Node], list[Node]]:
    """The calls of the backbone, and those of them at whose outputs blocks end."""
    body, _ = _split(model)
    inside = {id(node.output) for node in body}
    return body, _block_outputs([node for node in cut_nodes(model) if id(node.output) in inside])


def _block_outputs(cuts: list[Node]) -> list[Node]:
    """The cuts that are no inside of a block and no padding; the last one is the backbone's own output."""
    inside = _bottlenecks([node.output.shape[-1] or 0 for node in cuts])
    blocks = []
    for position, node in enumerate(cuts):
        grown = position > 0 and size(node.output) > size(cuts[position - 1].output)
        padding = grown and node.layer is not None and not node.layer.weights
        if position == len(cuts) - 1 or not (inside[position] or padding):
            blocks.append(node)
    return blocks


def _last_of_each(blocks: list[Node], scales: list[int]) -> list[keras.KerasTensor]:
    """The output of the last block of each scale."""
    return list({scale: node.output for scale, node in zip(scales, blocks, strict=True)}.values())


def _bottlenecks(channels: list[int]) -> list[bool]:
    """Which positions lie on a plateau of channels higher than both its neighbours: the inside of a bottleneck."""
    inside = [False] * len(channels)
    start = 0
    for end in range(1, len(channels) + 1):
        if end == len(channels) or channels[end] != channels[start]:
            higher_than_before = start > 0 and channels[start - 1] < channels[start]
            if higher_than_before and end < len(channels) and channels[end] < channels[start]:
                inside[start:end] = [True] * (end - start)
            start = end
    return inside


def _scales(model: keras.Model, blocks: list[Node]) -> list[int]:
    """How often the positions were halved along each axis, from the input or the first map to each block's output.

    Counted anew where the number of axes changes.
    """
    scales, scale, start = [], 0, 0
    whole: keras.KerasTensor | None = None
    for tensor in [*model.inputs, *(node.output for node in blocks)]:
        if here := _positions(tensor):
            if whole is None or len(tensor.shape) != len(whole.shape):  # such as from a waveform to a spectrogram
                whole, start = tensor, scale
            halvings = math.log2(_positions(whole) / here) / (len(whole.shape) - 2)
            # Padding makes a map slightly larger: it must not lead back to the scale before.
            scale = max(scale, start + round(halvings))
        scales.append(scale)
    return scales[len(model.inputs) :]


def _positions(tensor: keras.KerasTensor) -> int:
    """The number of places in a map, tokens or time steps; 0 where there are none or their number is open."""
    sides = tensor.shape[1:-1]
    return math.prod(sides) if sides and None not in sides else 0


def require_stages(model: keras.Model) -> list[Stage]:
    """`stages(model)`, or an `InputError` where there are none."""
    parts = stages(model)
    if not parts:
        raise InputError(f"Model {model.name!r} has no backbone with weights below its head: nothing can be unfrozen.")
    return parts
