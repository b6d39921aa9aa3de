"""A model's graph, read back from its output: what computes what, and where a single tensor carries everything."""

from dataclasses import dataclass
from typing import Any

import keras

from keras_transfer.errors import InputError
from keras_transfer.inputs import TensorSpec


@dataclass(frozen=True)
class Node:
    """One call of one operation (nearly always a layer) in a model's graph."""

    operation: Any
    inputs: tuple[Any, ...]
    output: Any  # the KerasTensor; of an operation with several outputs, the first

    @property
    def layer(self) -> keras.layers.Layer | None:
        """The layer called, or None where a bare operation (`x + 3.0`) was."""
        return self.operation if isinstance(self.operation, keras.layers.Layer) else None


def input_tensor(model: keras.Model) -> Any:
    """The model's one input.

    Raises:
        InputError: the model has no graph (a subclass of `keras.Model`, or not built), or several inputs.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise InputError(f"Model {model.name!r} has no graph: build it as a functional or Sequential model.")
    if len(inputs) != 1:
        raise InputError(f"Model {model.name!r} must have one input. Received: {len(inputs)} inputs.")
    return inputs[0]


def model_inputs(model: Any) -> tuple[TensorSpec, ...]:
    """The input tensors of a model, in order: what `Split.batches` and the like are asked for.

    Args:
        model: a functional or Sequential model; a `tf_keras` model too.

    >>> model_inputs(keras.Sequential([keras.Input((8, 6, 1), name="image"), keras.layers.Flatten()]))[0].shape
    (8, 6, 1)
    """
    return tuple(
        TensorSpec(
            str(tensor.name).partition(":")[0], tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype)
        )
        for tensor in model.inputs
    )


def nodes(model: keras.Model) -> list[Node]:
    """The calls that lead from the model's input to its outputs, in topological order, the input left out.

    Only this model's calls: a layer shared with another model is listed once for each call in this one.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.ReLU(name="b")])
    >>> [node.operation.name for node in nodes(model)]
    ['a', 'b']
    """
    start = input_tensor(model)
    found: list[Node] = []
    seen: set[tuple[int, int]] = set()
    # Depth first without recursion: InceptionResNetV2 is deeper than Python's stack.
    stack: list[tuple[Any, bool]] = [(tensor, False) for tensor in reversed(model.outputs)]
    while stack:
        tensor, done = stack.pop()
        history = tensor._keras_history
        key = (id(history.operation), history.node_index)
        if tensor is start or (key in seen and not done):
            continue
        call = history.operation._inbound_nodes[history.node_index]
        if done:
            found.append(Node(history.operation, tuple(call.input_tensors), call.output_tensors[0]))
            continue
        seen.add(key)
        stack.append((tensor, True))
        stack.extend((parent, False) for parent in reversed(call.input_tensors))
    return found


def cut_nodes(model: keras.Model) -> list[Node]:
    """The calls whose output alone carries everything that later layers need, in order from the input up."""
    order = nodes(model)
    last_use: dict[int, int] = {id(tensor): len(order) for tensor in model.outputs}
    for position in range(len(order) - 1, -1, -1):
        for tensor in order[position].inputs:
            last_use.setdefault(id(tensor), position)
    cuts, live_until = [], {id(input_tensor(model)): last_use.get(id(input_tensor(model)), 0)}
    for position, node in enumerate(order):
        live_until[id(node.output)] = last_use.get(id(node.output), -1)
        live_until = {key: end for key, end in live_until.items() if end > position}
        if list(live_until) == [id(node.output)]:
            cuts.append(node)
    return cuts


def cut_points(model: keras.Model) -> list[Any]:
    """The tensors through which everything passes: the model can be cut in two at each of them.

    Found from the graph (they are the dominators of the output), so it works for any functional or Sequential model.

    Args:
        model: a functional or Sequential model with one input.

    Returns:
        KerasTensors from the input up: the model's input first, its output last (where it has a single one).

    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(4)(inputs)
    >>> merged = keras.layers.Add()([inputs, hidden])
    >>> [tensor is merged for tensor in cut_points(keras.Model(inputs, merged))]
    [False, True]
    """
    return [input_tensor(model), *(node.output for node in cut_nodes(model))]
