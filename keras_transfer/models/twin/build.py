"""The twin itself: built call by call, given the weights, and compared before it is returned."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.models.graph import input_tensor
from keras_transfer.models.twin.layers import twin_layer, twin_operation
from keras_transfer.models.twin.walk import Argument, Value, walk, weighted_layers

if TYPE_CHECKING:
    import tf_keras

_TOLERANCE = 1e-5
_SIDE = 64  # of the inputs compared, where a side is open


def make_twin(model: keras.Model) -> "tf_keras.Model":
    """Makes the exact `tf_keras` twin of a Keras 3 model, for tools that know only the older Keras.

    The twin has the same layers under the same names, the same weights and `trainable` flags; layers of nested models
    stand in its one flat graph (where two had one name, the second has its model's name before it), and bare operations
    such as `x + 3.0` are ordinary layers. Train or change it, and `copy_weights(twin, model)` brings the weights back.
    Both models' outputs on random inputs were compared when it is returned.

    Args:
        model: a functional or Sequential `keras.Model` with one input, of layers that `tf_keras` has too (nearly all
            that convolutional classifiers use); every backbone of the table is.

    Returns:
        A functional `tf_keras.Model`, not compiled. To keep its BatchNormalization layers frozen while it trains set
        their `trainable` to False, as in Keras.

    Raises:
        InputError: a layer has no counterpart (the message names it), the model has no graph or several inputs, the
            outputs differ by more than 1e-5 (relative to the largest, where that is above 1) and by more than rounding
            explains.

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, name="logits")])
    >>> twin = make_twin(model)
    >>> type(twin).__module__.split(".")[0], [layer.name for layer in twin.layers][-1]
    ('tf_keras', 'logits')
    >>> twin.get_layer("logits").set_weights([np.zeros((192, 2)), np.ones(2)])
    >>> copy_weights(twin, model)
    >>> float(model(np.zeros((1, 8, 8, 3)))[0, 0])
    1.0
    """
    import tf_keras as library

    start = input_tensor(model)
    inputs = library.Input(start.shape[1:], start.shape[0], dtype=start.dtype, name=start.name)
    outputs = walk(model, inputs, partial(_apply, {}))
    twin = library.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    copy_weights(model, twin)
    difference, allowed = _difference(model, twin)
    if not difference <= allowed:
        raise InputError(
            f"The tf_keras twin of model {model.name!r} gives other outputs (by {difference:.2g}): one of its layers "
            "does not mean the same there. Please report it with the model's summary."
        )
    return twin


def _apply(
    made: "dict[int, tf_keras.layers.Layer]",
    name: str,
    operation: keras.Operation,
    args: tuple[Argument, ...],
    kwargs: dict[str, Argument],
    output: keras.KerasTensor,
) -> Value:
    """One call of the twin's, by a new layer or by that of an earlier call of the same operation."""
    from tf_keras import layers

    kwargs = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
    if type(operation).__name__ == "CustomScaleLayer":  # InceptionResNetV2's own
        shortcut, branch = cast("Sequence[Value]", args[0])
        branch = layers.Rescaling(operation.scale, name=f"{name}_scale")(branch)
        return layers.Add(name=name)([shortcut, branch])
    if not isinstance(operation, keras.layers.Layer):
        return twin_operation(operation, name, args, kwargs, output)
    if id(operation) not in made:
        made[id(operation)] = twin_layer(operation, name)
    return made[id(operation)](*args, **kwargs)


def copy_weights(source: "keras.Model | tf_keras.Model", target: "keras.Model | tf_keras.Model") -> None:
    """Copies every weight between a Keras 3 model and its `tf_keras` twin, in either direction, by the layers' names.

    Args:
        source: the model that has the weights; `keras.Model` or flat `tf_keras.Model`.
        target: the one that gets them.

    Raises:
        InputError: a layer with weights is missing on one side, or their shapes differ; nothing was copied then.
    """
    layers, wanted = weighted_layers(source), weighted_layers(target)
    alone = sorted(layers.keys() ^ wanted.keys())
    if alone:
        raise InputError(
            f"{source.name!r} and {target.name!r} are no twins: only one of them has weights in {', '.join(alone[:5])}."
        )
    weights = {name: layer.get_weights() for name, layer in layers.items()}
    for name, layer in wanted.items():
        here, there = [list(array.shape) for array in weights[name]], [list(weight.shape) for weight in layer.weights]
        if here != there:
            raise InputError(f"Layer {name!r}: weights of shapes {here} do not fit {there}.")
    for name, layer in wanted.items():
        layer.set_weights(weights[name])
        if hasattr(layer, "finalize_state"):  # Normalization keeps what it computes with beside its weights
            layer.finalize_state()


def _difference(model: keras.Model, twin: "tf_keras.Model") -> tuple[float, float]:
    """How far the twin's outputs are from the model's on random inputs, and how far they may be.

    Relative to the largest output where that is above 1. A model may amplify rounding (untrained deep ones do): inputs
    moved by a few units in the last place then change its own outputs by more than the tolerance. Its layers round as
    well, so a few times as much is allowed.
    """
    start = input_tensor(model)
    shape = [_SIDE if side is None else side for side in start.shape[1:]]
    values = np.random.default_rng(0).integers(0, 256, (start.shape[0] or 2, *shape)).astype(start.dtype)
    ours = _outputs(model, values)
    difference, allowed = _farthest(ours, _outputs(twin, values)), _TOLERANCE
    if difference > allowed and np.issubdtype(values.dtype, np.floating):
        allowed = max(allowed, 4 * _farthest(ours, _outputs(model, values * np.float32(1 + 5e-7))))
    return difference, allowed


def _farthest(ours: list[Array], theirs: list[Array]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.max(np.abs(one - other)) / max(1.0, np.max(np.abs(one)))) for one, other in pairs)


def _outputs(model: "keras.Model | tf_keras.Model", values: Array) -> list[Array]:
    as_list = not isinstance(model, keras.Sequential) and isinstance(model.input, list)  # Keras tells them apart
    outputs = model([values] if as_list else values, training=False)
    return [np.asarray(output) for output in (outputs if isinstance(outputs, list | tuple) else [outputs])]
