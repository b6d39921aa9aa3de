"""A backbone cut into stages, found from the graph alone: one for each spatial resolution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_transfer.errors import InputError
from keras_transfer.models.graph import Node, cut_nodes, input_tensor, nodes
from keras_transfer.models.preprocessing import NAME as PREPROCESSING

_POOLING = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)


@dataclass(frozen=True)
class Stage:
    """Consecutive layers of a backbone that work at one spatial resolution.

    Attributes:
        name: `stage0`, `stage1`, ... from the input up.
        index: the number in the name.
        layers: the layers in topological order, preprocessing included.
        output: the KerasTensor that carries everything from this stage to the next.
    """

    name: str
    index: int
    layers: tuple[keras.layers.Layer, ...]
    output: Any


def stages(model: keras.Model) -> list[Stage]:
    """Cuts the backbone of a classifier into stages, from the input up.

    A stage ends at the last *block output* of its resolution: a tensor through which everything passes, and which is
    not inside a block. The inside of an inverted bottleneck is told by its channels, which rise and fall again; padding
    belongs to the layer that needs it. A stage without weights of its own (a last pooling) joins its neighbour.
    Architectures whose blocks read two earlier ones (NASNet) can be cut in few places and so have few stages.

    Args:
        model: a functional or Sequential model with one input; it need not come from `build_classifier`.

    Returns:
        The stages; together they hold every layer below the head once. Empty where there is no backbone with weights.

    Raises:
        InputError: the model has no graph, or several inputs.

    >>> inputs = keras.Input((32, 32, 3))
    >>> x = keras.layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    >>> x = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="b")(x)
    >>> x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    >>> [[layer.name for layer in stage.layers] for stage in stages(keras.Model(inputs, x))]
    [['a'], ['b']]
    """
    body, _ = _split(model)
    inside = {id(node.output) for node in body}
    cuts = [node for node in cut_nodes(model) if id(node.output) in inside]
    ends = {id(end) for end in _stage_ends(cuts, input_tensor(model).shape)}
    groups: list[list[Node]] = [[]]
    outputs: list[Any] = []
    for node in body:
        groups[-1].append(node)
        if id(node.output) in ends:
            outputs.append(node.output)
            groups.append([])
    merged: list[tuple[list[Node], Any]] = []
    for group, output in zip(groups, outputs, strict=False):
        if merged and not (_weighted(group) and _weighted(merged[-1][0])):
            merged[-1] = (merged[-1][0] + group, output)
        else:
            merged.append((group, output))
    return [
        Stage(f"stage{index}", index, tuple(_layers(group)), output)
        for index, (group, output) in enumerate(merged)
        if _weighted(group)
    ]


def head_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers after the backbone: global pooling (or flattening) and all that follows.

    Args:
        model: a functional or Sequential model with one input.

    Returns:
        The layers in topological order; where nothing pools, those from the first flat tensor on.

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

    Fixed preprocessing (statistics of a `Normalization`, our channel swap) has weights that never train.
    """
    return bool(layer.weights) and layer.name != PREPROCESSING and not isinstance(layer, keras.layers.Normalization)


def _weighted(group: list[Node]) -> bool:
    return any(node.layer is not None and can_train(node.layer) for node in group)


def _layers(group: Sequence[Node]) -> list[keras.layers.Layer]:
    return list(dict.fromkeys(node.layer for node in group if node.layer is not None))


def _split(model: keras.Model) -> tuple[list[Node], list[Node]]:
    """The calls of the backbone and of the head.

    The head starts at the first cut that pools globally or has no spatial axes: a squeeze-and-excite branch pools
    too, but is no cut.
    """
    order = nodes(model)
    for node in cut_nodes(model):
        if isinstance(node.operation, _POOLING) or len(node.output.shape) <= 2:
            start = next(position for position, other in enumerate(order) if other.output is node.output)
            return order[:start], order[start:]
    return order, []


def _stage_ends(cuts: list[Node], input_shape: Sequence[int | None]) -> list[Any]:
    """The outputs of the stages: of each resolution the last cut that is no inside of a block and no padding."""
    if not cuts:
        return []
    inside = _bottlenecks([node.output.shape[-1] or 0 for node in cuts])
    keys, key = [], 0
    for node in cuts:
        # Padding makes a map slightly larger: it must not lead back to the resolution before.
        key = max(key, _halvings(input_shape, node.output.shape))
        keys.append(key)
    ends: dict[int, Any] = {}
    for position, node in enumerate(cuts):
        grown = position > 0 and _size(node.output) > _size(cuts[position - 1].output)
        padding = grown and node.layer is not None and not node.layer.weights
        if not inside[position] and not padding:
            ends[keys[position]] = node.output
    ends[keys[-1]] = cuts[-1].output  # the backbone's own output, whatever came before
    return list(ends.values())


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


def _halvings(input_shape: Sequence[int | None], shape: Sequence[int | None]) -> int:
    """How often the sides were halved between the input and here; 0 where a size is unknown."""
    sides = [*input_shape[1:3], *shape[1:3]]
    if len(input_shape) != 4 or len(shape) != 4 or None in sides:
        return 0
    height, width, here_height, here_width = (side or 1 for side in sides)
    return round(math.log2(math.sqrt(height * width / (here_height * here_width))))


def _size(tensor: Any) -> int:
    return math.prod(side or 1 for side in tensor.shape[1:])


def require_stages(model: keras.Model) -> list[Stage]:
    """`stages(model)`, or an `InputError` where there are none."""
    found = stages(model)
    if not found:
        raise InputError(f"Model {model.name!r} has no backbone with weights below its head: nothing can be unfrozen.")
    return found
