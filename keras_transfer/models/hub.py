"""TensorFlow Hub and Kaggle feature vectors, and any SavedModel of that style, as a frozen Keras layer.

`hub.KerasLayer` is a Keras 2 layer and cannot stand in a Keras 3 model (tensorflow/hub#920); Keras's own `TFSMLayer`
keeps only a path and loads in unsafe mode alone. This layer keeps the features' graph itself, variables turned into
constants, inside the `.keras` file, and takes no graph that reads or writes files or runs Python.
"""

from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.models.download import limited_silence

ModuleOutputs: TypeAlias = tf.Tensor | Mapping[str, tf.Tensor]
# Calls of a function inside the graph are marked stateful, whatever the function does; its own operations are checked.
_CALLS = {"StatefulPartitionedCall", "PartitionedCall", "While", "If", "Case", "NoOp", "Placeholder"}
_FILE_WORDS = ("File", "Save", "Restore", "PyFunc", "Directory", "Shard", "Library", "Plugin")


@keras.saving.register_keras_serializable("keras_transfer")
class FrozenFeatures(keras.layers.Layer):
    """Items to feature vectors by a fixed TensorFlow graph; it has no weights that could train.

    Args:
        features: length of the feature vector.
        input_name: name of the graph's input tensor.
        output_name: name of the graph's output tensor.
        graph: the serialized GraphDef; None while a saved model is being read, which brings it afterwards.
    """

    def __init__(
        self, features: int, input_name: str, output_name: str, graph: bytes | None = None, **arguments: object
    ) -> None:
        super().__init__(trainable=False, **{key: value for key, value in arguments.items() if key != "trainable"})
        self.features, self.input_name, self.output_name = features, input_name, output_name
        self._graph = b""
        self._function: Callable[[tf.Tensor], tf.Tensor] | None = None
        self.built = True
        if graph is not None:
            self._set_graph(graph)

    def _set_graph(self, graph: bytes) -> None:
        definition = tf.compat.v1.GraphDef()
        try:
            definition.ParseFromString(graph)
        except Exception as error:
            raise InputError("The feature graph is damaged: build or save the model again.") from error
        _refuse_unsafe(definition)
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
        function = wrapped.prune(self.input_name, self.output_name)
        self._graph = graph
        self._function = lambda items: function(items)  # a plain function: Keras need not track it

    def call(self, items: tf.Tensor) -> tf.Tensor:
        if self._function is None:
            raise InputError("The feature graph is missing: load the model from its `.keras` file.")
        features = self._function(items)
        return tf.ensure_shape(features, (None, self.features))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.features)

    def compute_output_spec(self, items: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(items.shape), dtype="float32")

    def save_own_variables(self, store: MutableMapping[str, NDArray[np.uint8]]) -> None:
        store["graph"] = np.frombuffer(self._graph, "uint8")

    def load_own_variables(self, store: Mapping[str, NDArray[np.uint8]]) -> None:
        self._set_graph(np.asarray(store["graph"], "uint8").tobytes())

    def get_config(self) -> dict[str, object]:
        own = {"features": self.features, "input_name": self.input_name, "output_name": self.output_name}
        return {**super().get_config(), **own}


def hub_features(handle: str, start: keras.KerasTensor) -> keras.KerasTensor:
    """The features that a hub module gives for a tensor.

    Args:
        handle: the folder of a SavedModel, or an address of tensorflow_hub (`https://tfhub.dev/...`,
            `https://www.kaggle.com/models/...`), downloaded and kept by that library. Only take modules you trust:
            opening a SavedModel runs its initialization.
        start: what the module takes, in the shape and dtype that it takes.

    Returns:
        `float32 [n, features]`.

    Raises:
        InputError: the module cannot be had, takes something else, or is no feature vector.
    """
    folder = _resolve(handle)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        raise InputError(f"{handle} cannot be loaded as a SavedModel: {in_one_line(error)}") from error
    graph, input_name, output_name, features = _freeze(loaded, handle, tf.TensorSpec(start.shape, start.dtype))
    return FrozenFeatures(features, input_name, output_name, graph, name="features")(start)


def _resolve(handle: str) -> Path:
    if Path(handle).is_dir():
        return Path(handle)
    if "://" not in handle:
        raise InputError(f"There is no folder {handle}: give `hub:` and a SavedModel's folder or a full https address.")
    require("tensorflow_hub", "hub", "Downloading from TensorFlow Hub or Kaggle")
    import tensorflow_hub

    try:
        with limited_silence():
            return Path(tensorflow_hub.resolve(handle))
    except Exception as error:
        raise InputError(
            f"{handle} cannot be downloaded ({in_one_line(error)}): fetch it as a SavedModel on a connected machine, "
            "unpack it, and give `hub:` and the folder."
        ) from error


def _freeze(loaded: tf.Module, handle: str, specification: tf.TensorSpec) -> tuple[bytes, str, str, int]:
    """The features' graph with its variables as constants, the names of its ends, and the features' number."""
    attempts: list[Callable[[tf.Tensor], ModuleOutputs]] = []
    if callable(loaded):
        attempts += [lambda items: loaded(items, training=False), lambda items: loaded(items)]
    attempts += [by_name for by_name in map(_one_input, getattr(loaded, "signatures", {}).values()) if by_name]
    reason = "it has neither a call nor a signature with one input"
    for attempt in attempts:
        try:
            function = tf.function(lambda items, call=attempt: _vector(call(items)), autograph=False)
            concrete = function.get_concrete_function(specification)
        except Exception as error:
            reason = in_one_line(error)
            continue
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        output = frozen.outputs[0]
        graph = frozen.graph.as_graph_def().SerializeToString()
        return graph, frozen.inputs[0].name, output.name, int(output.shape[-1])
    raise InputError(f"{handle} gives no feature vector of {list(specification.shape[1:])}: {reason}")


def _one_input(signature: tf.types.experimental.ConcreteFunction) -> Callable[[tf.Tensor], ModuleOutputs] | None:
    names = list(signature.structured_input_signature[1])
    return (lambda items: signature(**{names[0]: items})) if len(names) == 1 else None


def _vector(outputs: ModuleOutputs) -> tf.Tensor:
    if isinstance(outputs, dict) and "default" in outputs:
        outputs = outputs["default"]
    vectors = [tensor for tensor in tf.nest.flatten(outputs) if tensor.shape.rank == 2 and tensor.shape[-1]]
    if len(vectors) != 1:
        raise ValueError("its output is not one [items, features] tensor")
    return tf.cast(vectors[0], tf.float32)


def _refuse_unsafe(definition: tf.compat.v1.GraphDef) -> None:
    """Raises on operations that touch files, run Python, or keep state: a saved graph may come from anywhere."""
    everything = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    functions = {function.signature.name for function in definition.library.function}
    for node in everything:
        known = op_def_registry.get(node.op)
        unsafe = known is None or known.is_stateful or any(word in node.op for word in _FILE_WORDS)
        if unsafe and node.op not in _CALLS and node.op not in functions:
            raise InputError(
                f"The feature graph holds the operation {node.op}, which a frozen feature extractor does not need and "
                "which may touch files or keep state: use another module."
            )
