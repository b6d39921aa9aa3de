"""What each Keras 3 layer and bare operation is in `tf_keras`: one row each where the names do not say it."""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, cast

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.errors import InputError
from keras_transfer.models.twin.walk import Argument, Value

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

_OWN_INITIAL = re.compile(r".*_initializer$|^seed$")  # weights are copied, and a seed means another generator's numbers
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
_WITHOUT = ("Lambda", "InputLayer")  # whose configuration is code, or none
_ACTIVATION_OPERATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Silu": "silu", "HardSilu": "hard_silu", "Tanh": "tanh",
    "HardSigmoid": "hard_sigmoid", "Selu": "selu", "Softplus": "softplus", "Softsign": "softsign", "Exp": "exponential",
}  # fmt: skip


def twin_layer(layer: keras.layers.Layer, name: str) -> "tf_keras.layers.Layer":
    """A new `tf_keras` layer that computes what `layer` does, its weights still to be copied.

    Raises:
        InputError: there is none, or one of its arguments has no counterpart.
    """
    import tf_keras as library

    kind = type(layer).__name__
    ours = inspect.getmodule(type(layer))
    of_keras = ours is not None and ours.__name__.startswith("keras.")
    if of_keras and kind in ("LayerScale", "StochasticDepth"):
        made = getattr(__import__("tf_keras.src.applications.convnext", fromlist=[kind]), kind)
    else:
        made = getattr(library.layers, kind, None)
    if not of_keras or made is None or kind in _WITHOUT:
        raise InputError(
            f"Layer {layer.name!r} ({kind}) has no counterpart in tf_keras: replace it by layers of Keras that have."
        )
    config = layer.get_config()
    if layer.dtype_policy.quantization_mode:
        raise InputError(f"Layer {layer.name!r} ({kind}) is quantized already: make the twin before that.")
    known = _arguments(made)
    renamed = _RENAMED.get(kind, {})
    wanted = {renamed.get(key, key): value for key, value in config.items() if not _OWN_INITIAL.match(key)}
    arguments = {key: _argument(key, value, layer) for key, value in wanted.items() if key in known}
    arguments.update(name=name, trainable=layer.trainable, dtype=layer.dtype_policy.name)
    return made(**arguments)


def twin_operation(
    operation: keras.Operation,
    name: str,
    args: tuple[Argument, ...],
    kwargs: dict[str, Argument],
    output: keras.KerasTensor,
) -> Value:
    """The value of a bare operation's call, computed by ordinary layers: tools refuse what is none.

    Args:
        operation: a `keras.Operation` that is no layer.
        name: for the layer.
        args: the call's, with `tf_keras` tensors in the places of Keras's.
        kwargs: the call's.
        output: the call's KerasTensor, of which the shape is read.

    Raises:
        InputError: no layer does it.
    """
    from tf_keras import layers

    kind = type(operation).__name__
    operands = [*args, *kwargs.values()]
    tensors = [operand for operand in operands if hasattr(operand, "_keras_history")]
    if kind in _BINARY and len(operands) == 2:
        if len(tensors) == 2 and kind in ("Add", "Subtract", "Multiply", "Maximum", "Minimum"):
            return getattr(layers, kind)(name=name)(operands)
        if len(tensors) == 1:
            constant_first = tensors[0] is operands[1]
            constant = np.asarray(keras.ops.convert_to_numpy(operands[0 if constant_first else 1]), "float32")
            if kind in ("Maximum", "Minimum") and constant.size == 1:
                return _bounded(layers, 1.0 if kind == "Maximum" else -1.0, float(constant), name, tensors[0])
            scaled = _BINARY[kind](constant, constant_first)
            if scaled is not None:
                return layers.Rescaling(*(np.asarray(part).tolist() for part in scaled), name=name)(tensors[0])
    elif kind == "Concatenate":
        return layers.Concatenate(operation.axis, name=name)(args[0] if args else kwargs["xs"])
    elif len(tensors) == 1:
        layer = _unary(layers, kind, operation, name, cast("tf_keras.KerasTensor", tensors[0]), output)
        if layer is not None:
            return layer(tensors[0])
    raise InputError(f"Operation {operation.name!r} ({kind}) has no counterpart among tf_keras's layers: use a layer.")


# Of a constant and whether it comes first -> scale and offset
_BINARY: dict[str, Callable[[NDArray[np.float32], bool], tuple[ArrayLike, ArrayLike] | None]] = {
    "Add": lambda constant, _: (1.0, constant),
    "Subtract": lambda constant, first: (-1.0, constant) if first else (1.0, -constant),
    "Multiply": lambda constant, _: (constant, 0.0),
    "Divide": lambda constant, first: None if first else (1 / constant, 0.0),
    "TrueDivide": lambda constant, first: None if first else (1 / constant, 0.0),
    "Maximum": lambda *_: None,
    "Minimum": lambda *_: None,
}


def _bounded(layers: ModuleType, sign: float, bound: float, name: str, value: Value) -> Value:
    """`maximum(value, bound)`, or with the sign -1 the minimum, by a ReLU."""
    above = layers.ReLU(name=f"{name}_relu")(layers.Rescaling(sign, -sign * bound, name=f"{name}_shifted")(value))
    bounded: Value = layers.Rescaling(sign, bound, name=name)(above)
    return bounded


def _unary(
    layers: ModuleType,
    kind: str,
    operation: keras.Operation,
    name: str,
    value: "tf_keras.KerasTensor",
    output: keras.KerasTensor,
) -> "tf_keras.layers.Layer | None":
    spatial = getattr(operation, "axis", None) in ((1, 2), [1, 2])
    shape = output.shape[1:]
    if kind in _ACTIVATION_OPERATIONS:
        return layers.Activation(twin_activation(_ACTIVATION_OPERATIONS[kind]), name=name)
    if kind == "Gelu":
        return layers.Activation(twin_activation("gelu_tanh" if operation.approximate else "gelu"), name=name)
    if kind == "Softmax":
        return layers.Softmax(operation.axis, name=name)
    if kind == "Negative":
        return layers.Rescaling(-1.0, name=name)
    if kind in ("Mean", "Max") and spatial:
        pooling = layers.GlobalAveragePooling2D if kind == "Mean" else layers.GlobalMaxPooling2D
        return pooling(keepdims=operation.keepdims, name=name)
    if kind == "Reshape" and None not in shape and math.prod(shape) != math.prod(value.shape[1:]):
        return layers.Lambda(regroup, arguments={"shape": list(shape)}, name=name)
    if kind in ("Reshape", "Squeeze", "ExpandDims") and None not in shape:
        return layers.Reshape(shape, name=name)
    if kind == "Transpose" and operation.axes and operation.axes[0] == 0:
        return layers.Permute(tuple(operation.axes[1:]), name=name)
    return None


def regroup(values: "tf.Tensor", shape: Sequence[int]) -> "tf.Tensor":
    """Values as more or fewer items of a shape, such as the windows of clips; `tf_keras` finds this by its name."""
    import tensorflow as tf

    return tf.reshape(values, (-1, *shape))


def twin_activation(identifier: object) -> object:
    """What `tf_keras` takes for an activation of Keras's: its name, or a function registered with `tf_keras`.

    Raises:
        InputError: there is none.
    """
    import tf_keras

    functions = _functions()
    if isinstance(identifier, str) and identifier in functions:
        return functions[identifier]
    try:
        tf_keras.activations.get(identifier)
    except (ValueError, TypeError) as error:
        raise InputError(f"The activation {identifier!r} has no counterpart in tf_keras: use another.") from error
    return identifier


@cache
def _functions() -> "dict[str, Callable[[tf.Tensor], tf.Tensor]]":
    """Activations that `tf_keras` lacks or defines otherwise, written so that the LiteRT converter knows them."""
    import tensorflow as tf
    import tf_keras

    register = tf_keras.utils.register_keras_serializable("keras_transfer")

    @register
    def hard_sigmoid(x: "tf.Tensor") -> "tf.Tensor":
        return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)

    @register
    def hard_silu(x: "tf.Tensor") -> "tf.Tensor":
        return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)

    @register
    def gelu_tanh(x: "tf.Tensor") -> "tf.Tensor":
        return tf.nn.gelu(x, approximate=True)

    return {"hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu, "hard_swish": hard_silu, "gelu_tanh": gelu_tanh}


def _argument(key: str, value: object, layer: keras.layers.Layer) -> object:
    if key.endswith("activation") and value is not None:
        try:
            return twin_activation(value)
        except InputError as error:
            raise InputError(f"Layer {layer.name!r} ({type(layer).__name__}): {error}") from error
    if isinstance(value, dict) and "class_name" in value:  # a regularizer or constraint
        return {"class_name": value["class_name"], "config": value["config"]}
    return value


def _arguments(made: type) -> set[str]:
    """The names that a layer's constructor takes, through its bases where it has `**kwargs`."""
    names: set[str] = set()
    for base in made.__mro__:
        if "__init__" in vars(base):
            names |= set(inspect.signature(vars(base)["__init__"]).parameters)
    return names - {"self", "args", "kwargs"}
