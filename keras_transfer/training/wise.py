"""WiSE-FT: between the weights before and after fine-tuning (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903)."""

from collections.abc import Sequence

import keras
import numpy as np
from typing_extensions import TypedDict

from keras_transfer.data import Split
from keras_transfer.data.labels import log_loss, one_hot
from keras_transfer.decisions import correct, two_columns
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.models import suffix
from keras_transfer.training.features import frozen_boundary, suffix_arrays
from keras_transfer.training.feed import Samples

_BATCH = 64
COEFFICIENTS = tuple(number / 10 for number in range(11))


def interpolate_weights(model: keras.Model, before: Sequence[Array], after: Sequence[Array], share: float) -> None:
    """Sets a model's weights to `(1 - share) * before + share * after`.

    Args:
        model: whose `get_weights()` both were.
        before: weights before fine-tuning, the head trained already.
        after: weights after it.
        share: 0 for the first, 1 for the second.

    Raises:
        InputError: the weights are another model's.
    """
    _check(model, before, after)
    model.set_weights(
        [
            # Equal weights stay bit-equal: what was frozen can be told from what was trained.
            second if np.array_equal(first, second) else ((1 - share) * first + share * second).astype(second.dtype)
            for first, second in zip(before, after, strict=True)
        ]
    )


class WiseRow(TypedDict):
    """The figures of one share of the fine-tuned weights."""

    share: float
    accuracy: float
    log_loss: float


def wise_ft(
    model: keras.Model, before: Sequence[Array], val: Split, *, coefficients: Sequence[float] = COEFFICIENTS
) -> tuple[float, list[WiseRow]]:
    """Moves a fine-tuned model back towards its earlier weights, by the share that is best on validation.

    Args:
        model: the fine-tuned classifier, of one label per item. It gets the interpolated weights.
        before: its `get_weights()` before fine-tuning, the head trained already.
        val: validation items.
        coefficients: the shares of the fine-tuned weights that are tried.

    Returns:
        The share chosen, by accuracy, of equals by log loss; and a row for each coefficient.

    Raises:
        InputError: `before` is another model's, items have several labels, or there are no validation items.
    """
    if val.multi_label or not len(val):
        raise InputError(f"WiSE-FT chooses by validation items with one label each. Received: {val}.")
    after = model.get_weights()
    _check(model, before, after)
    _mark_changed(model, before, after)
    tensor = frozen_boundary(model)
    top = suffix(model, tensor)
    arrays, names, dtypes = suffix_arrays(model, tensor, val)
    samples = Samples(arrays, names, one_hot(val.labels, len(val.class_names)), dtypes=dtypes)
    rows: list[WiseRow] = []
    try:
        for share in coefficients:
            interpolate_weights(model, before, after, share)
            batches = map(samples.in_order(_BATCH), range(samples.steps(_BATCH)))
            outputs = [np.asarray(top.predict_on_batch(inputs)) for inputs, _, _ in batches]
            probabilities = two_columns(np.concatenate(outputs))
            accuracy = float(correct(val.labels, probabilities).mean())
            rows.append({"share": share, "accuracy": accuracy, "log_loss": log_loss(val.labels, probabilities)})
    finally:
        arrays.close()
    best = max(rows, key=lambda row: (row["accuracy"], -row["log_loss"]))
    interpolate_weights(model, before, after, best["share"])
    return best["share"], rows


def _mark_changed(model: keras.Model, before: Sequence[Array], after: Sequence[Array]) -> None:
    """Marks as trainable the layers whose weights differ: below them nothing depends on the coefficient."""
    model.trainable = True
    changed = {
        id(weight)
        for weight, first, second in zip(model.weights, before, after, strict=True)
        if not np.array_equal(first, second)
    }
    for layer in model.layers:
        layer.trainable = any(id(weight) in changed for weight in layer.weights)


def _check(model: keras.Model, *states: Sequence[Array]) -> None:
    shapes = [tuple(weight.shape) for weight in model.weights]
    if not all([np.shape(array) for array in state] == shapes for state in states):
        raise InputError("The weights to interpolate are those of another model: give two states of this one.")
