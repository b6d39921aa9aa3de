"""How unlike all that it was trained on an item is: the score as numbers, and as a second output of a classifier."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import UNLIKE_LAYER, RejectionLimit
from keras_transfer.errors import InputError
from keras_transfer.inputs import DAMAGED_ARCHIVE
from keras_transfer.models.graph import start_of
from keras_transfer.models.head import last_dense

Floats: TypeAlias = NDArray[np.float32]
MEMBER = "keras_transfer/rejection.npz"
"""Where a `.keras` file holds it."""
_MOST_BYTES = 1 << 28
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
        limit: from which score on.
    """

    mean: Floats
    classes: Floats
    directions: Floats
    spread: float
    limit: RejectionLimit

    def scores(self, features: NDArray[np.floating]) -> Floats:
        """The score of each item, higher for what is less like the training items: `[n, features]` -> `[n]`."""
        centred = np.asarray(features, np.float32) - self.mean
        length = self.spread * np.square(centred).sum(axis=1) - np.square(centred @ self.directions).sum(axis=1)
        return np.asarray(length - (centred @ self.classes).max(axis=1), np.float32)

    def to_bytes(self) -> bytes:
        """As a NumPy archive."""
        content = io.BytesIO()
        fields = {name: np.asarray(value) for name, value in vars(self).items() if name != "limit"}
        fields |= {name: np.asarray(value) for name, value in self.limit.to_dict().items()}
        np.savez(content, allow_pickle=False, **fields)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Rejection":
        """What `to_bytes` gave.

        Raises:
            InputError: it is not that.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as saved:
                mean, classes, directions = (
                    np.asarray(saved[name], np.float32) for name in ("mean", "classes", "directions")
                )
                limit = RejectionLimit.from_dict(
                    {name: saved[name] for name in ("threshold", "acceptance", "reference")}
                )
                rejection = cls(mean, classes, directions, float(saved["spread"]), limit)
            assert mean.ndim == 1 and classes.ndim == directions.ndim == 2
            assert len(mean) == len(classes) == len(directions)
        except (AssertionError, *DAMAGED_ARCHIVE, ValueError) as error:
            raise InputError("The model's score of unknown items cannot be read: fit it again (--reject).") from error
        return rejection


def read_rejection(path: str | Path) -> Rejection | None:
    """The rejection inside a `.keras` file, or None where it has none.

    Raises:
        InputError: it makes no sense.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if MEMBER not in archive.namelist() or archive.getinfo(MEMBER).file_size > _MOST_BYTES:
                return None
            content = archive.read(MEMBER)
    except DAMAGED_ARCHIVE:
        return None
    return Rejection.from_bytes(content)


class Unlike(keras.layers.Layer):
    """The score of a `Rejection` of features `[n, features]`, `[n, 1]`."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(name=UNLIKE_LAYER, dtype="float32", trainable=False)
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
    found = last_dense(model)
    if found is None or len(found[1].shape) != 2:
        raise InputError(
            f'"None of these" (--reject) reads the features before the last Dense layer, and model {model.name!r} ends '
            "in another one: train it without --reject."
        )
    features = found[1]
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
