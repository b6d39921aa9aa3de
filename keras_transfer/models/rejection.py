"""How unlike all that it was trained on an item is: the score as numbers, and as a second output of a classifier."""

from dataclasses import dataclass
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.models.graph import nodes, start_of
from keras_transfer.models.head import scores_of

Floats: TypeAlias = NDArray[np.float32]
LAYER = "unlike"
"""Name of the layer that computes the score: the quantizer gives what it writes more room than calibration shows."""
_MOST_FEATURES = 4096  # a bag of words or of random kernels is no point in a space of like things


@dataclass(frozen=True)
class Rejection:
    """A score of how unlike the training items an item is, and from where on it is "none of these".

    With features `z` and `c = z - mean` the score is `spread * |c|^2 - |c directions|^2 - max(c classes)`: the squared
    length in a space where the classes are about round, less the closeness to the nearest class. Its operators are such
    as int8 files have everywhere: no division, root or exponential.

    Attributes:
        mean: `float32 [features]`, the centre of the classes.
        classes: `float32 [features, classes]`.
        directions: `float32 [features, few]`, those in which items vary most.
        spread: see above, 0 or more.
        reference: scores of validation items in ascending order, `float32 [n]`.
        acceptance: the share of one's own items that is to be accepted, 0..1.
        threshold: scores above it are rejected.
    """

    mean: Floats
    classes: Floats
    directions: Floats
    spread: float
    reference: Floats
    acceptance: float
    threshold: float

    def scores(self, features: NDArray[np.floating]) -> Floats:
        """The score of each item, higher for what is less like the training items: `[n, features]` -> `[n]`."""
        centred = np.asarray(features, np.float32) - self.mean
        length = self.spread * np.square(centred).sum(axis=1) - np.square(centred @ self.directions).sum(axis=1)
        return np.asarray(length - (centred @ self.classes).max(axis=1), np.float32)

    def unlikeness(self, scores: NDArray[np.floating]) -> Floats:
        """The share of validation items that score lower, `[n]` -> `[n]` in 0..1."""
        below = np.searchsorted(self.reference, scores, "left")
        return np.asarray(below / max(1, len(self.reference)), np.float32)


@keras.saving.register_keras_serializable("keras_transfer")
class Unlike(keras.layers.Layer):
    """The score of a `Rejection` of features `[n, features]`, `[n, 1]`."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(name=LAYER, dtype="float32", trainable=False)
        self.rejection = rejection

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """The score as operators of a graph."""
        ops, own = keras.ops, self.rejection
        centred = ops.subtract(features, own.mean[None])
        along = ops.matmul(centred, own.directions)
        length = ops.matmul(ops.multiply(centred, centred), np.full((len(own.mean), 1), own.spread, np.float32))
        less = ops.matmul(ops.multiply(along, along), np.ones((own.directions.shape[1], 1), np.float32))
        closest = ops.max(ops.matmul(centred, own.classes), axis=1, keepdims=True)
        return ops.subtract(ops.subtract(length, less), closest)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """One score for each item."""
        return (shape[0], 1)


def feature_tensor(model: keras.Model) -> keras.KerasTensor:
    """The features that the last Dense layer of a classifier makes its logits of, `[n, features]`.

    Raises:
        InputError: the model does not end in a Dense layer on features, or these are too many for distances to mean
            anything.

    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(6)(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    >>> feature_tensor(model) is hidden
    True
    """
    scores = scores_of(model)
    last = next((node for node in nodes(model) if node.output is scores), None)
    if last is None or not isinstance(last.operation, keras.layers.Dense) or len(last.inputs[0].shape) != 2:
        raise InputError(
            f'"None of these" (--reject) reads the features before the last Dense layer, and model {model.name!r} ends '
            "in another one: train it without --reject."
        )
    features = last.inputs[0]
    count = features.shape[1] or 0
    if count > _MOST_FEATURES:
        raise InputError(
            f'"None of these" (--reject) measures distances between at most {_MOST_FEATURES:,} features. Received: '
            f"{count:,}, counts rather than features. Train another backbone, or without --reject."
        )
    return features


def with_rejection(model: keras.Model, rejection: Rejection) -> keras.Model:
    """The classifier with the score as its second output, `[n, 1]`; layers are shared.

    Raises:
        InputError: see `feature_tensor`; or the rejection is of another model.
    """
    features = feature_tensor(model)
    if features.shape[1] != len(rejection.mean):
        raise InputError(
            f"The rejection is of {len(rejection.mean)} features, and model {model.name!r} has {features.shape[1]}: "
            "fit it again."
        )
    return keras.Model(start_of(model), [model.outputs[0], Unlike(rejection)(features)], name=model.name)
