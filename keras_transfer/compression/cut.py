"""The part of a classifier that a technique changes, cut from the frozen part below it."""

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import keras
import numpy as np

from keras_transfer.compression.sparsity import kernel_layers
from keras_transfer.data import Dataset, Split
from keras_transfer.data.stored import item_bytes
from keras_transfer.inputs import Array, Strength
from keras_transfer.models import boundary, prefix, suffix
from keras_transfer.models.graph import model_inputs
from keras_transfer.training import feature_samples, input_samples
from keras_transfer.training.feed import Samples

_BLOCK = 64


@dataclass(frozen=True)
class Cut:
    """A copy of a classifier, cut below the lowest layer that is to change.

    Attributes:
        model: the copy as a whole.
        below: the frozen network under the cut, or None where `top` takes items.
        top: the rest, with which the copy shares its layers.
        names: the name of each layer to change in `top`, and in the whole: where layers of nested models share a name,
            they may differ.
    """

    model: keras.Model
    below: keras.Model | None
    top: keras.Model
    names: dict[str, str]


def cut_copy(model: keras.Model, changed: Collection[str], split: Split) -> Cut:
    """Copies a classifier and cuts the copy.

    Args:
        model: a classifier; it stays as it is.
        changed: names of the layers to change, of `kernel_layers`.
        split: the items that it takes.
    """
    copy = copy_model(model)
    layers = kernel_layers(copy)
    own = {id(layer): name for name, layer in layers.items() if name in changed}
    below, top = cut_below(copy, set(own), item_bytes(split.spec(model_inputs(model))))
    names = {name: own[id(layer)] for name, layer in kernel_layers(top).items() if id(layer) in own}
    return Cut(copy, below, top, names)


def copy_model(model: keras.Model) -> keras.Model:
    """A model of its own with the same layers, names and weights, not compiled."""
    copy = type(model).from_config(model.get_config())  # clone_model would rename the input
    copy.set_weights(model.get_weights())
    return copy


def cut_below(model: keras.Model, changed: set[int], input_bytes: int) -> tuple[keras.Model | None, keras.Model]:
    """Cuts a model below the lowest layer that is to change, and leaves trainable only what lies above the cut.

    BatchNormalization stays frozen: its statistics follow by thousandths of a step, too slowly for so short a training.

    Args:
        model: a classifier; its `trainable` flags are set.
        changed: `id` of the layers to change.
        input_bytes: the size of an item.

    Returns:
        The frozen network below, or None where its output would be larger than the items, or of a length that
        differs from item to item; and the rest.
    """
    trains = False
    model.trainable = True
    for layer in model.layers:
        inner = list(layer._flatten_layers())
        trains = trains or not changed.isdisjoint(id(one) for one in inner)
        for one in inner:
            one.trainable = trains and not isinstance(one, keras.layers.BatchNormalization)
    tensor = boundary(model)
    sides = tensor.shape[1:]
    if tensor is model.inputs[0] or None in sides or 2 * math.prod(sides) > input_bytes:  # they are kept as float16
        return None, model
    return prefix(model, tensor), suffix(model, tensor)


def restore_flags(model: keras.Model, copy: keras.Model) -> None:
    """Gives the layers of a copy the `trainable` flags of the model it is a copy of."""
    for layer, same in zip(model._flatten_layers(), copy._flatten_layers(), strict=True):
        same.trainable = layer.trainable


@contextmanager
def soft_label_samples(
    below: keras.Model | None,
    top: keras.Model,
    data: Dataset,
    *,
    alpha: float,
    temperature: float = 2.0,
    augmentation: Strength = "auto",
    seed: int = 0,
) -> Iterator[tuple[Samples, Samples]]:
    """What `top` takes, of training and validation items, with labels that are in part what `top` predicts now.

    Args:
        below: the frozen network that makes what `top` takes, or None where `top` takes items.
        top: the rest of the classifier.
        data: the items.
        alpha: weight, from 0 to 1, of the predictions of `top` for the same view against the labels (Hinton et al.
            2015, https://arxiv.org/abs/1503.02531). Where items are augmented in each epoch it has no effect.
        temperature: by which its scores are divided.
        augmentation: see `keras_transfer.build_augmenter`.
        seed: of the views.
    """
    augmenter = data.train.augmenter(augmentation)
    if below is None:
        with input_samples(top, data, augmenter) as pair:
            yield pair
        return
    with feature_samples(below, top, data, augmenter, seed) as (train, val):
        if alpha:
            (name,) = train.names
            values = train.arrays[name]
            blocks = (np.asarray(values[i : i + _BLOCK], np.float32) for i in range(0, len(values), _BLOCK))
            predictions = np.concatenate([top.predict_on_batch(block) for block in blocks])
            labels = train.labels if len(train.labels) == len(values) else np.repeat(train.labels, train.views, axis=0)
            train = replace(train, labels=alpha * _soften(predictions, temperature) + (1 - alpha) * labels)
        yield train, val


def _soften(probabilities: Array, temperature: float) -> Array:
    """Probabilities, of one class of several or of each by itself, after division of their scores."""
    powers = np.clip(probabilities, 1e-7, 1) ** (1 / temperature)
    others = np.clip(1 - probabilities, 1e-7, 1) ** (1 / temperature)
    one_label = probabilities.shape[-1] > 1 and bool(np.allclose(probabilities.sum(-1), 1, atol=1e-3))
    return np.asarray(powers / powers.sum(-1, keepdims=True) if one_label else powers / (powers + others))
