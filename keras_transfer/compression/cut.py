"""The part of a classifier that a technique changes, cut from the frozen part below it."""

import math

import keras

from keras_transfer.models import boundary, prefix, suffix


def copy_model(model: keras.Model) -> keras.Model:
    """A model of its own with the same layers, names and weights, not compiled."""
    copy = type(model).from_config(model.get_config())  # clone_model would rename the input
    copy.set_weights(model.get_weights())
    return copy


def cut_below(model: keras.Model, changed: set[int], batchnorm: bool = False) -> tuple[keras.Model | None, keras.Model]:
    """Cuts a model below the lowest layer that is to change, and leaves trainable only what lies above the cut.

    BatchNormalization stays frozen: its statistics follow by thousandths of a step, too slowly for so short a training.

    Args:
        model: a classifier; its `trainable` flags are set.
        changed: `id` of the layers to change.

    Returns:
        The frozen network below, or None where its output would take more room than the pixels; and the rest.
    """
    trains = False
    model.trainable = True
    for layer in model.layers:
        inner = list(layer._flatten_layers())
        trains = trains or not changed.isdisjoint(id(one) for one in inner)
        for one in inner:
            one.trainable = trains and not isinstance(one, keras.layers.BatchNormalization)
    tensor = boundary(model)
    # Features are kept as float16, pixels as bytes.
    if tensor is model.inputs[0] or 2 * math.prod(tensor.shape[1:]) > math.prod(model.input_shape[1:]):
        return None, model
    return prefix(model, tensor), suffix(model, tensor)


def restore_flags(model: keras.Model, copy: keras.Model) -> None:
    """Gives the layers of a copy the `trainable` flags of the model it is a copy of."""
    for layer, same in zip(model._flatten_layers(), copy._flatten_layers(), strict=True):
        same.trainable = layer.trainable
