"""A Keras model as the graph that is converted, its variables constants.

Made by the caller, who has the model, for the converting process, which then needs no Keras.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from keras_transfer.inputs import TensorSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    Tensors: TypeAlias = tf.Tensor | list[tf.Tensor] | dict[str, tf.Tensor]

CALIBRATED = ("int8", "16x8")
_UNROLLED = 256  # most steps of a recurrent layer that are written out: some ten operators each, converted slowly
_HOW = ("unroll", "use_cudnn")  # attributes of Keras's recurrent layers


@dataclass(frozen=True)
class FrozenGraph:
    """A graph to convert.

    Attributes:
        graph: a serialized `GraphDef` without variables.
        inputs: names of its inputs.
        outputs: names of its outputs.
        layers: names of the model's layers.
        scale: what bytes (0..255) are multiplied by before they come in.
        offset: what is added to them after that.
    """

    graph: bytes
    inputs: list[str]
    outputs: list[str]
    layers: list[str]
    scale: float = 1.0
    offset: float = 0.0

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs without the number of the tensor, as signatures have them."""
        return [name.partition(":")[0] for name in self.inputs]

    def write(self, path: Path) -> None:
        """Writes the graph to `path`, the rest beside it."""
        path.write_bytes(self.graph)
        rest = {name: value for name, value in vars(self).items() if name != "graph"}
        path.with_suffix(".json").write_text(json.dumps(rest))

    @classmethod
    def read(cls, path: Path) -> "FrozenGraph":
        """What `write` wrote."""
        return cls(path.read_bytes(), **json.loads(path.with_suffix(".json").read_text()))


def freeze(model: "keras.Model", format_: str, inputs: Sequence[TensorSpec]) -> FrozenGraph:
    """The graph that is converted to a format.

    It takes what its inputs hold: bytes, token ids, floats. For `int8` it takes bytes as floats, and what the model's
    first scale and offset make of them where it begins with these: there they become the input's quantization.

    Args:
        model: has inputs of fixed size, and one or more outputs.
        format_: see `keras_transfer.litert.convert`.
        inputs: name and dtype of each input, in the model's order.
    """
    with _portable(model, unroll=format_ in CALIBRATED):  # a loop cannot be calibrated
        return _freeze_for(model, format_, inputs)


def _freeze_for(model: "keras.Model", format_: str, inputs: Sequence[TensorSpec]) -> FrozenGraph:
    import keras

    from keras_transfer.models.graph import nodes
    from keras_transfer.models.preprocessing import preprocessing_of

    layers = [layer.name for layer in model.layers]
    if format_ != "int8":
        return _freeze(model, inputs, layers)
    floats = [replace(tensor, dtype="float32") if tensor.dtype == "uint8" else tensor for tensor in inputs]
    # A zero point is a whole number, so values in [-1, 1] are off by half a step (of 255). Giving it back in the first
    # layer's bias changed nothing that could be measured on MobileNetV2, so it is left alone.
    foldable = [tensor.dtype for tensor in inputs] == ["uint8"] and _is_functional(model)
    rescaling = preprocessing_of(model) if foldable else None
    if rescaling is None or rescaling[1] <= 0:
        return _freeze(model, floats, layers)
    first, scale, offset = rescaling
    start = next(node.output for node in nodes(model) if node.operation is first)
    network = keras.Model(start, model.outputs, name=model.name)
    return replace(_freeze(network, floats, layers), scale=scale, offset=offset)


def freeze_batches(model: "keras.Model", dtypes: Sequence[str] = ("uint8",)) -> FrozenGraph:
    """The graph of a model that TensorFlow runs on any number of items.

    Args:
        model: has inputs of fixed size, and one or more outputs.
        dtypes: of the arrays that come, one for each input: bytes as `uint8`, token ids as `int32`.
    """
    inputs = [TensorSpec(f"input_{number}", (), dtype) for number, dtype in enumerate(dtypes)]
    return _freeze(model, inputs, [layer.name for layer in model.layers], batch=None)


@contextmanager
def _portable(model: "keras.Model", unroll: bool) -> Iterator[None]:
    """Recurrent layers as devices can compute them: by no kernel of a GPU's, and without a loop where requested."""
    import keras

    recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
    before = [(layer, name, value) for layer in recurrent for name, value in vars(layer).items() if name in _HOW]
    try:
        for layer, name, value in before:
            setattr(layer, name, value or (unroll and _is_short(layer)) if name == "unroll" else False)
        yield
    finally:
        for layer, name, value in before:
            setattr(layer, name, value)


def _is_short(layer: "keras.layers.RNN") -> bool:
    steps = (layer.get_build_config() or {}).get("input_shape", (None, None))[1]
    return isinstance(steps, int) and steps <= _UNROLLED


def _freeze(
    model: "keras.Model", inputs: Sequence[TensorSpec], layers: list[str], batch: int | None = 1
) -> FrozenGraph:
    import tensorflow as tf

    signature = [
        tf.TensorSpec((batch, *tensor.shape[1:]), own.dtype, name=own.name)
        for tensor, own in zip(model.inputs, inputs, strict=True)
    ]

    @tf.function(input_signature=signature, autograph=False)
    def serve(*arrays: tf.Tensor) -> list[tf.Tensor]:
        values = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, model.inputs, strict=True)]
        outputs = model(pack_inputs(model, values), training=False)
        return [tf.cast(output, tf.float32) for output in tf.nest.flatten(outputs)]

    function = serve.get_concrete_function()
    definition = _constant(function)
    starts = [tensor.name for tensor in function.inputs[: len(inputs)]]
    ends = [tensor.name for tensor in function.outputs]
    if definition is None:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        frozen = convert_variables_to_constants_v2(function)
        starts, ends = ([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs))
        definition = frozen.graph.as_graph_def()
    for node in definition.node:
        node.device = ""  # the converting process has no GPU
    return FrozenGraph(definition.SerializeToString(), starts, ends, layers)


def pack_inputs(model: "keras.Model", inputs: "Sequence[tf.Tensor]") -> "Tensors":
    """Values for a model's inputs, in the order of `model.inputs`, as the structure that the model is called with."""
    import keras

    return inputs[0] if len(inputs) == 1 else keras.tree.pack_sequence_as(model.input, list(inputs))


def _constant(function: "tf.types.experimental.ConcreteFunction") -> "tf.compat.v1.GraphDef | None":
    """The graph with constants for variables; None where a variable is not only read, or inside an inner function.

    TensorFlow's `convert_variables_to_constants_v2` does all of it, and takes as long as tracing the model again: it
    makes a function of the result.
    """
    import tensorflow as tf

    definition = function.graph.as_graph_def()
    if definition.library.function:
        return None
    variables = {id(variable.handle): variable for variable in function.variables}
    values, read = {}, set()
    for outside, inside in function.graph.captures:
        if outside.dtype == tf.resource:
            if id(outside) not in variables:
                return None
            read.add(inside.op.name)
            outside = variables[id(outside)]
        values[inside.op.name] = tf.make_tensor_proto(outside.numpy())
    for node in definition.node:
        if node.name in values:
            _become(node, "Const", dtype=values[node.name].dtype)
            node.attr["value"].tensor.CopyFrom(values[node.name])
        elif node.op == "ReadVariableOp" and node.input[0] in read:
            _become(node, "Identity", T=node.attr["dtype"].type)
        elif not read.isdisjoint(node.input):
            return None
    return definition


def _become(node: "tf.compat.v1.NodeDef", operator: str, **types: int) -> None:
    node.op = operator
    node.attr.clear()
    for name, value in types.items():
        node.attr[name].type = value


def _is_functional(model: "keras.Model") -> bool:
    """Whether the model is functional or Sequential: a subclass's own `call` cannot be cut."""
    import keras

    return isinstance(model, keras.Sequential) or type(model).__name__ == "Functional"
