"""The part of a classifier that a technique changes, cut from the frozen part below it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np

from keras_transfer.data import Dataset
from keras_transfer.inputs import Strength
from keras_transfer.models import boundary, prefix, suffix
from keras_transfer.training import feature_samples, input_samples
from keras_transfer.training.feed import Samples

_BLOCK = 64


def copy_model(model: keras.Model) -> keras.Model:
    """A model of its own with the same layers, names and weights, not compiled."""
    copy = type(model).from_config(model.get_config())  # clone_model would rename the input
    copy.set_weights(model.get_weights())
    return copy


def cut_below(model: keras.Model, changed: set[int]) -> tuple[keras.Model | None, keras.Model]:
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


@contextmanager
def taught_samples(
    below: keras.Model | None,
    top: keras.Model,
    data: Dataset,
    *,
    alpha: float,
    temperature: float = 2.0,
    augmentation: Strength = "auto",
    seed: int = 0,
) -> Iterator[tuple[Samples, Samples]]:
    """What `top` takes, of training and validation images, and labels that are in part what `top` says itself now.

    Args:
        below: the frozen network that makes what `top` takes, or None where that is pixels.
        top: the rest of the classifier.
        data: from `load_images`.
        alpha: weight, from 0 to 1, of what `top` says of the same view against the labels (Hinton et al. 2015,
            https://arxiv.org/abs/1503.02531). Pixels are augmented anew in every epoch: there it says nothing.
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
            said = np.concatenate([top.predict_on_batch(block) for block in blocks])
            labels = train.labels if len(train.labels) == len(values) else np.repeat(train.labels, train.views, axis=0)
            train = replace(train, labels=alpha * _soften(said, temperature) + (1 - alpha) * labels)
        yield train, val


def _soften(said: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities, of one class of several or of each by itself, after division of their scores."""
    powers = np.clip(said, 1e-7, 1) ** (1 / temperature)
    others = np.clip(1 - said, 1e-7, 1) ** (1 / temperature)
    single = said.shape[-1] > 1 and bool(np.allclose(said.sum(-1), 1, atol=1e-3))
    return powers / powers.sum(-1, keepdims=True) if single else powers / (powers + others)
