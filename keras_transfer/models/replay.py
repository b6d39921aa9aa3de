"""A model's calls made again on other inputs: layers are shared, and what holds a graph of its own is opened."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import keras
from keras.src.models.functional import Functional

from keras_transfer.inputs import TensorSpec
from keras_transfer.models.graph import nodes

Argument: TypeAlias = keras.KerasTensor | object
"""What an operation is called with or gives: a KerasTensor, or anything that holds some."""


def replay(
    model: keras.Model, inputs: Sequence[keras.KerasTensor], *, reserved: set[str] | None = None
) -> list[keras.KerasTensor]:
    """A model's outputs when its calls are made again on `inputs`.

    Nested functional models are opened, and so are KerasHub's stacks: layers without weights of their own that run a
    row of like blocks, such as a transformer's encoder. Then the result can be cut at each block. Random augmentation,
    which does nothing outside of training, is left out.

    Args:
        model: functional or Sequential; its layers are shared with the result.
        inputs: KerasTensors, one for each of the model's inputs.
        reserved: names that the new model needs for other layers. Layers of `model` that have one of them, or that
            have the name of another, are renamed. Without `reserved` nothing is renamed, and what cannot be opened
            without it stays closed.

    Returns:
        KerasTensors, one for each of the model's outputs.
    """
    return _Replay(model, reserved).run(model, inputs, None)


def at_size(model: keras.Model, tensors: Sequence[TensorSpec]) -> keras.Model:
    """A model whose inputs have a fixed size, as files for devices want it; layers are shared.

    Args:
        model: functional or Sequential.
        tensors: name and shape of each input.

    Returns:
        `model` itself where nothing is open.

    >>> ids = keras.Input((None,), dtype="int32", name="ids")
    >>> model = keras.Model(ids, keras.layers.Embedding(10, 4)(ids))
    >>> at_size(model, [TensorSpec("ids", (6,), "int32")]).output_shape
    (None, 6, 4)
    """
    if not any(None in tensor.shape[1:] for tensor in model.inputs):
        return model
    inputs = [
        keras.Input(spec.shape, dtype=tensor.dtype, name=tensor.name)
        for spec, tensor in zip(tensors, model.inputs, strict=True)
    ]
    outputs = replay(model, inputs)
    return keras.Model(only_or_all(inputs), only_or_all(outputs), name=model.name)


def only_or_all(tensors: list[keras.KerasTensor]) -> keras.KerasTensor | list[keras.KerasTensor]:
    """The one tensor of a model's end, or all of them."""
    return tensors[0] if len(tensors) == 1 else tensors


def can_open(layer: keras.Operation) -> bool:
    """Whether a layer is a model with a graph from one tensor to one, whose calls can be made again."""
    graph = isinstance(layer, keras.Sequential) or getattr(type(layer), "call", None) is Functional.call
    return graph and all(len(getattr(layer, ends, None) or ()) == 1 for ends in ("inputs", "outputs"))


class _Replay:
    """One replay: the names that stand in the new model, and what was opened."""

    def __init__(self, model: keras.Model, reserved: set[str] | None) -> None:
        self.rename = reserved is not None
        self.names = set(reserved or ()) if self.rename else _names(model)
        self.opened: set[int] = set()
        self.placed: set[int] = set()

    def run(
        self, model: keras.Model, inputs: Sequence[keras.KerasTensor], training: bool | None
    ) -> list[keras.KerasTensor]:
        values = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
        for node in nodes(model):
            operation = node.operation
            record = operation._inbound_nodes[node.output._keras_history.node_index]
            args, kwargs = record.arguments.fill_in(values)
            if training is not None and getattr(operation, "_call_has_training_arg", False):
                kwargs = {"training": training, **kwargs}
            outputs = keras.tree.flatten(self.call(operation, args, kwargs))
            values |= {id(old): new for old, new in zip(record.output_tensors, outputs, strict=True)}
        return [values[id(tensor)] for tensor in model.outputs]

    def call(self, operation: keras.Operation, args: Sequence[Argument], kwargs: Mapping[str, Argument]) -> Argument:
        if _is_augmentation(operation):
            return args[0]
        if can_open(operation) and self.take(operation, _names(operation)):
            training = kwargs.get("training")
            return self.run(operation, args[:1], training if isinstance(training, bool) else None)
        if _is_stack(operation) and self.take(operation, {each.name for each in operation._layers}):
            for each in operation._layers:
                self.place(each)
            try:
                return operation.call(*args, **kwargs)  # on KerasTensors: each call inside is one of the new graph
            except ValueError:  # a block that returns more than tensors (DeiT) runs only inside of its stack
                pass
        self.place(operation)
        return operation(*args, **kwargs)

    def take(self, layer: keras.layers.Layer, inner: set[str]) -> bool:
        """Whether a layer is opened: names in a model must differ."""
        if not (self.rename or id(layer) in self.opened or self.names.isdisjoint(inner)):
            return False
        self.opened.add(id(layer))
        if not self.rename:
            self.names |= inner
        return True

    def place(self, operation: keras.Operation) -> None:
        """Gives an operation that comes into the new model a name of its own."""
        if not self.rename or id(operation) in self.placed:
            return
        self.placed.add(id(operation))
        name, number = operation.name, 0
        while operation.name in self.names:
            number += 1
            operation.name = f"{name}_{number}"
        self.names.add(operation.name)


def _names(model: keras.Model) -> set[str]:
    return {node.operation.name for node in nodes(model)}


def _is_stack(layer: keras.Operation) -> bool:
    """Whether a layer of KerasHub has no weights of its own and holds several blocks of one kind, made of layers.

    A user's own layer stays closed: its parts need not be such as can be saved alone.
    """
    if not type(layer).__module__.startswith("keras_hub.") or isinstance(layer, keras.Model):
        return False
    blocks = [type(each) for each in layer._layers if any(inner.weights for inner in each._layers)]
    return (
        not (layer._trainable_variables or layer._non_trainable_variables)
        and max(Counter(blocks).values(), default=0) > 1
    )


def _is_augmentation(operation: keras.Operation) -> bool:
    """Whether a layer does nothing outside of training: Keras's random ones, but not RandomCrop, which resizes."""
    module, kind = type(operation).__module__, type(operation).__name__
    own = module.startswith(("keras.src.layers.preprocessing.", "keras_transfer.modalities."))
    return own and kind.startswith("Rand") and kind != "RandomCrop"
