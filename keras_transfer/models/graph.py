"""A model's graph, read back from its output: what computes what, and where the model can be cut in two.

A *cut* is a tensor through which everything passes that weights make of the inputs. What else is needed above it
follows from the inputs without weights (a padding mask, positions) and is computed again after the cut.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import keras

from keras_transfer.errors import InputError
from keras_transfer.inputs import TensorSpec

if TYPE_CHECKING:
    import tf_keras


@dataclass(frozen=True)
class Node:
    """One call of one operation (nearly always a layer) in a model's graph."""

    operation: keras.Operation
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]

    @property
    def output(self) -> keras.KerasTensor:
        """The KerasTensor; of an operation with several outputs, the first."""
        return self.outputs[0]

    @property
    def layer(self) -> keras.layers.Layer | None:
        """The layer called, or None where a bare operation (`x + 3.0`) was."""
        return self.operation if isinstance(self.operation, keras.layers.Layer) else None


@dataclass(frozen=True)
class Cut:
    """A place where a model can be cut in two.

    Attributes:
        node: the call whose output is the cut tensor.
        sides: the model's inputs that the part above the cut reads beside that tensor; nearly always none.
    """

    node: Node
    sides: tuple[keras.KerasTensor, ...] = ()


def input_tensor(model: keras.Model) -> keras.KerasTensor:
    """The model's one input.

    Raises:
        InputError: the model has no graph (a subclass of `keras.Model`, or not built), or several inputs.
    """
    inputs = _inputs(model)
    if len(inputs) != 1:
        raise InputError(f"Model {model.name!r} must have one input. Received: {len(inputs)} inputs.")
    return inputs[0]


def start_of(model: keras.Model) -> keras.KerasTensor:
    """The model's input: a KerasTensor, or where it has several what `keras.Model` was given (a list or a dict).

    Raises:
        InputError: the model has no graph.
    """
    inputs = _inputs(model)
    return inputs[0] if len(inputs) == 1 else model.input


def _inputs(model: keras.Model) -> list[keras.KerasTensor]:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise InputError(f"Model {model.name!r} has no graph: build it as a functional or Sequential model.")
    return list(inputs)


def model_inputs(model: "keras.Model | tf_keras.Model") -> tuple[TensorSpec, ...]:
    """The input tensors of a model, in order: what items become, as `Split.batches` wants it.

    Args:
        model: a functional or Sequential model; a `tf_keras` model too.

    >>> model_inputs(keras.Sequential([keras.Input((8, 6, 1), name="map"), keras.layers.Flatten()]))[0].shape
    (8, 6, 1)
    """
    return tuple(
        TensorSpec(
            str(tensor.name).partition(":")[0], tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype)
        )
        for tensor in model.inputs
    )


def nodes(model: keras.Model) -> list[Node]:
    """The calls that lead from the model's inputs to its outputs, in topological order, the inputs left out.

    Only this model's calls: a layer shared with another model is listed once for each call in this one.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.ReLU(name="b")])
    >>> [node.operation.name for node in nodes(model)]
    ['a', 'b']
    """
    starts = {id(tensor) for tensor in _inputs(model)}
    calls: list[Node] = []
    seen: set[tuple[int, int]] = set()
    # Depth first without recursion: InceptionResNetV2 is deeper than Python's stack.
    stack: list[tuple[keras.KerasTensor, bool]] = [(tensor, False) for tensor in reversed(model.outputs)]
    while stack:
        tensor, done = stack.pop()
        history = tensor._keras_history
        key = (id(history.operation), history.node_index)
        if id(tensor) in starts or (key in seen and not done):
            continue
        call = history.operation._inbound_nodes[history.node_index]
        if done:
            calls.append(Node(history.operation, tuple(call.input_tensors), tuple(call.output_tensors)))
            continue
        seen.add(key)
        stack.append((tensor, True))
        stack.extend((parent, False) for parent in reversed(call.input_tensors))
    return calls


def cuts(model: keras.Model) -> list[Cut]:
    """The places where the model can be cut in two, in order from the inputs up.

    After a cut nothing with weights reads the inputs alone, and the inputs that are read again (`Cut.sides`) are
    together smaller than the cut tensor: they say where to look, and are not the signal. A tensor with an implicit
    Keras mask (`Embedding(mask_zero=True)`) is no cut, because the mask would be lost, nor is one whose batch holds
    parts of items (`keras.ops.reshape(x, (-1, ...))`).

    Args:
        model: a functional or Sequential model.

    >>> tokens = keras.Input((6,), dtype="int32", name="tokens")
    >>> embedded = keras.layers.Embedding(10, 4, name="embedding")(tokens)
    >>> dense = keras.layers.Dense(4, name="dense")(embedded)
    >>> pooled = keras.layers.GlobalAveragePooling1D(name="pool")(dense, mask=keras.ops.not_equal(tokens, 0))
    >>> [(cut.node.operation.name, [side.name for side in cut.sides]) for cut in cuts(keras.Model(tokens, pooled))]
    [('embedding', ['tokens']), ('dense', ['tokens']), ('pool', [])]
    """
    order, inputs = nodes(model), _inputs(model)
    last_use = {id(tensor): len(order) for tensor in model.outputs}
    for position in range(len(order) - 1, -1, -1):
        for tensor in order[position].inputs:
            last_use.setdefault(id(tensor), position)
    # For each tensor made without weights, the inputs that it follows from.
    origins: dict[int, frozenset[int]] = {id(tensor): frozenset([id(tensor)]) for tensor in inputs}
    last_start = -1  # the last call that makes something with weights of the inputs alone
    for position, node in enumerate(order):
        if all(id(tensor) in origins for tensor in node.inputs):
            if _is_fixed(node):
                sources = frozenset().union(*(origins[id(tensor)] for tensor in node.inputs))
                origins |= {id(tensor): sources for tensor in node.outputs}
            else:
                last_start = position
    places: list[Cut] = []
    folds = _folds(order)
    live = {id(tensor): last_use.get(id(tensor), -1) for tensor in inputs}
    for position, node in enumerate(order):
        live |= {id(tensor): last_use.get(id(tensor), -1) for tensor in node.outputs}
        live = {key: end for key, end in live.items() if end > position}
        beside = live.keys() - {id(node.output)}
        masked = position < len(order) - 1 and getattr(node.output, "_keras_mask", None) is not None
        if len(beside) == len(live) or masked or folds[id(node.output)] != 1:
            continue
        if not beside:
            places.append(Cut(node))
        elif position >= last_start and id(node.output) not in origins and beside <= origins.keys():
            needed = frozenset().union(*(origins[key] for key in beside))
            sides = tuple(tensor for tensor in inputs if id(tensor) in needed)
            if sum(map(size, sides)) < size(node.output):
                places.append(Cut(node, sides))
    return places


def cut_nodes(model: keras.Model) -> list[Node]:
    """The calls at whose output the model can be cut, in order from the inputs up; see `cuts`."""
    return [cut.node for cut in cuts(model)]


def cut_points(model: keras.Model) -> list[keras.KerasTensor]:
    """The tensors at which the model can be cut in two.

    Found from the graph, so it works for any functional or Sequential model; see `cuts`.

    Args:
        model: a functional or Sequential model.

    Returns:
        KerasTensors from the input up: the model's input first (where it has several, its `model.input`), its output
        last (where it has a single one).

    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(4)(inputs)
    >>> merged = keras.layers.Add()([inputs, hidden])
    >>> [tensor is merged for tensor in cut_points(keras.Model(inputs, merged))]
    [False, True]
    """
    return [start_of(model), *(node.output for node in cut_nodes(model))]


def side_inputs(model: keras.Model, tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The model's inputs that `suffix(model, tensor)` takes after `tensor`, in the model's order; mostly none.

    Args:
        model: a functional or Sequential model.
        tensor: one of `cut_points(model)`.

    Raises:
        InputError: `tensor` is no cut point of the model.
    """
    if tensor is start_of(model):
        return []
    for cut in cuts(model):
        if cut.node.output is tensor:
            return list(cut.sides)
    raise InputError(f"{tensor!r} is no cut point of model {model.name!r}: choose one of `cut_points(model)`.")


def size(tensor: keras.KerasTensor) -> int:
    """How many numbers a KerasTensor (or a list or dict of them) holds for one item; unknown sides count as 1."""
    return sum(math.prod(side or 1 for side in each.shape[1:]) for each in keras.tree.flatten(tensor))


def is_random(layer: keras.layers.Layer) -> bool:
    """Whether a layer, or one inside of it, draws random numbers in training."""
    return any(getattr(inner, "seed_generator", None) is not None for inner in layer._flatten_layers())


def _folds(order: list[Node]) -> dict[int, Fraction]:
    """For each tensor how many items of its batch are made of one item of the model's."""
    folds: dict[int, Fraction] = {}
    for node in order:
        fold = next((folds[id(tensor)] for tensor in node.inputs if id(tensor) in folds), Fraction(1))
        if type(node.operation).__name__ == "Reshape" and None not in (
            *node.inputs[0].shape[1:],
            *node.output.shape[1:],
        ):
            fold *= Fraction(size(node.inputs[0]), size(node.output))
        folds |= {id(tensor): fold for tensor in node.outputs}
    return folds


def _is_fixed(node: Node) -> bool:
    """Whether a call gives the same for the same inputs whatever is trained, and in training as elsewhere."""
    return node.layer is None or not (node.layer.weights or is_random(node.layer))
