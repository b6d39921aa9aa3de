"""A model's calls one after the other, nested models opened, every operation under a name of its own."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import keras

from keras_transfer.errors import InputError
from keras_transfer.models.graph import input_tensor, nodes

if TYPE_CHECKING:
    import tf_keras

# name, operation (a layer, or what `x + 3.0` became), its call's args and kwargs, the call's KerasTensor -> its value
Value: TypeAlias = "tf_keras.KerasTensor | None"
"""What stands for a tensor of the model while its calls are gone through."""
Argument: TypeAlias = "Value | object"
Apply: TypeAlias = Callable[[str, keras.Operation, tuple[Argument, ...], dict[str, Argument], keras.KerasTensor], Value]


def walk(model: keras.Model, value: Value, apply: Apply) -> list[Value]:
    """Goes through a model's calls in topological order as if it were called on `value`.

    Args:
        model: a functional or Sequential model with one input; models inside it are opened.
        value: stands for the model's input.
        apply: called for each call, with values in place of tensors; what it returns is the call's value. The name is
            the operation's own, the same at each of its calls; where two operations share one (in a nested model
            and outside it), the second has its model's name before it.

    Returns:
        The values of the model's outputs.

    Raises:
        InputError: a model without a graph or with several inputs; a layer or nested model with several outputs.
    """
    names: dict[int, str] = {}
    values: dict[int, Value] = {}

    def enter(inner: keras.Model, argument: Value, prefix: str) -> list[Value]:
        values[id(input_tensor(inner))] = argument
        for node in nodes(inner):
            operation, key = node.operation, id(node.output)
            if isinstance(operation, keras.Model):
                outputs = enter(operation, values[id(node.inputs[0])], f"{operation.name}_")
                values[key] = _single(outputs, operation)
                continue
            names.setdefault(id(operation), _unused(operation.name, prefix, set(names.values())))
            record = operation._inbound_nodes[node.output._keras_history.node_index]
            _single(record.output_tensors, operation)
            args, kwargs = record.arguments.fill_in(values)
            values[key] = apply(names[id(operation)], operation, args, kwargs, node.output)
        return [values[id(tensor)] for tensor in inner.outputs]

    return enter(model, value, "")


def weighted_layers(model: "keras.Model | tf_keras.Model") -> dict[str, keras.layers.Layer]:
    """The layers that have weights, by the names under which a twin has them.

    Args:
        model: a functional or Sequential `keras.Model`, nested models opened; or a flat `tf_keras.Model`.
    """
    if not isinstance(model, keras.Model):
        return {layer.name: layer for layer in model.layers if layer.weights}
    operations: dict[str, keras.Operation] = {}
    walk(model, None, lambda name, operation, *_: operations.setdefault(name, operation) and None)
    return {name: layer for name, layer in operations.items() if getattr(layer, "weights", None)}


def _single(outputs: Sequence[Value], operation: keras.Operation) -> Value:
    if len(outputs) != 1:
        what = f"{operation.name!r} ({type(operation).__name__}) has {len(outputs)} outputs"
        raise InputError(f"{what}: only a model's own outputs may be several.")
    return outputs[0]


def _unused(name: str, prefix: str, used: set[str]) -> str:
    if name in used:
        name = stem = prefix + name
        number = 1
        while name in used:
            number += 1
            name = f"{stem}_{number}"
    return name
