"""The twin itself: built call by call, given the weights, and compared before it is returned."""

from typing import Any

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.models.graph import input_tensor
from keras_transfer.models.twin.layers import twin_layer, twin_operation
from keras_transfer.models.twin.walk import walk, weighted_layers

_TOLERANCE = 1e-5
_SIDE = 64  # of the pictures compared, where the model takes any


def make_twin(model: keras.Model) -> Any:
    """Makes the exact `tf_keras` twin of a Keras 3 model, for tools that know only the older Keras.

    The twin has the same layers under the same names, the same weights and `trainable` flags; layers of nested models
    stand in its one flat graph (where two had one name, the second has its model's name before it), and bare operations
    such as `x + 3.0` are ordinary layers. Train or change it, and `copy_weights(twin, model)` brings the weights home.
    Both models' outputs on random pixels were compared when it is returned.

    Args:
        model: a functional or Sequential `keras.Model` with one input, of layers that `tf_keras` has too (nearly all
            that image classifiers use); every backbone of the table is.

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
    image = library.Input(start.shape[1:], start.shape[0], dtype=start.dtype, name=start.name)
    made: dict[int, Any] = {}

    def apply(name: str, operation: Any, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
        kwargs = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
        if type(operation).__name__ == "CustomScaleLayer":  # InceptionResNetV2's own
            shortcut, branch = args[0]
            branch = library.layers.Rescaling(operation.scale, name=f"{name}_scale")(branch)
            return library.layers.Add(name=name)([shortcut, branch])
        if not isinstance(operation, keras.layers.Layer):
            return twin_operation(operation, name, args, kwargs, output)
        if id(operation) not in made:
            made[id(operation)] = twin_layer(operation, name)
        return made[id(operation)](*args, **kwargs)

    outputs = walk(model, image, apply)
    twin = library.Model(image, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    copy_weights(model, twin)
    difference, allowed = _difference(model, twin)
    if not difference <= allowed:
        raise InputError(
            f"The tf_keras twin of model {model.name!r} answers differently (by {difference:.2g}): one of its layers "
            "does not mean the same there. Please report it with the model's summary."
        )
    return twin


def copy_weights(source: Any, target: Any) -> None:
    """Copies every weight between a Keras 3 model and its `tf_keras` twin, in either direction, by the layers' names.

    Args:
        source: the model that has the weights; `keras.Model` or flat `tf_keras.Model`.
        target: the one to be given them.

    Raises:
        InputError: a layer with weights is missing on one side, or their shapes differ; nothing was copied then.
    """
    given, wanted = weighted_layers(source), weighted_layers(target)
    alone = sorted(given.keys() ^ wanted.keys())
    if alone:
        raise InputError(
            f"{source.name!r} and {target.name!r} are no twins: only one of them has weights in {', '.join(alone[:5])}."
        )
    weights = {name: layer.get_weights() for name, layer in given.items()}
    for name, layer in wanted.items():
        here, there = [list(array.shape) for array in weights[name]], [list(weight.shape) for weight in layer.weights]
        if here != there:
            raise InputError(f"Layer {name!r}: weights of shapes {here} do not fit {there}.")
    for name, layer in wanted.items():
        layer.set_weights(weights[name])
        if hasattr(layer, "finalize_state"):  # Normalization keeps what it computes with beside its weights
            layer.finalize_state()


def _difference(model: keras.Model, twin: Any) -> tuple[float, float]:
    """How far the twin's outputs are from the model's on random pixels, and how far they may be.

    Relative to the largest output where that is above 1. A model may blow rounding up (untrained deep ones do): pixels
    moved by a few units in the last place then change its own answer by more than the tolerance. Its layers round as
    well, so a few times as much is allowed.
    """
    start = input_tensor(model)
    shape = [_SIDE if side is None else side for side in start.shape[1:]]
    pixels = np.random.default_rng(0).integers(0, 256, (start.shape[0] or 2, *shape)).astype(start.dtype)
    ours = _outputs(model, pixels)
    difference, allowed = _farthest(ours, _outputs(twin, pixels)), _TOLERANCE
    if difference > allowed and np.issubdtype(pixels.dtype, np.floating):
        allowed = max(allowed, 4 * _farthest(ours, _outputs(model, pixels * np.float32(1 + 5e-7))))
    return difference, allowed


def _farthest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.max(np.abs(one - other)) / max(1.0, np.max(np.abs(one)))) for one, other in pairs)


def _outputs(model: Any, pixels: np.ndarray) -> list[np.ndarray]:
    outputs = model(pixels, training=False)
    return [np.asarray(output) for output in (outputs if isinstance(outputs, list | tuple) else [outputs])]
