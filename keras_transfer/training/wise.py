"""WiSE-FT: between the weights before and after fine-tuning (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_transfer.data import Split
from keras_transfer.decisions import correct, two_columns
from keras_transfer.errors import InputError
from keras_transfer.models import boundary, prefix, suffix
from keras_transfer.models.graph import input_tensor, model_inputs
from keras_transfer.training.features import compute_features

Array = np.ndarray[Any, Any]
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
            # Equal weights stay what they are to the last bit: what was frozen can be told from what was trained.
            second if np.array_equal(first, second) else ((1 - share) * first + share * second).astype(second.dtype)
            for first, second in zip(before, after, strict=True)
        ]
    )


def wise_ft(
    model: keras.Model, before: Sequence[Array], val: Split, *, coefficients: Sequence[float] = COEFFICIENTS
) -> tuple[float, list[dict[str, float]]]:
    """Moves a fine-tuned model back towards what it was, as far as validation likes it best.

    Args:
        model: the fine-tuned classifier, of one label an image. It gets the interpolated weights.
        before: its `get_weights()` before fine-tuning, the head trained already.
        val: validation photographs.
        coefficients: the shares of the fine-tuned weights that are tried.

    Returns:
        The share chosen, by accuracy, of equals by log loss; and a row a coefficient: `share`, `accuracy`, `log_loss`.

    Raises:
        InputError: `before` is another model's, there are several labels an image, or no validation photographs.
    """
    if val.multi_label or not len(val):
        raise InputError("WiSE-FT chooses by validation photographs with one label each. Give such a split.")
    after = model.get_weights()
    _check(model, before, after)
    model.trainable = True
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    moving = {id(weight) for weight, other in zip(model.weights, moved, strict=True) if other}
    for layer in model.layers:  # so that `boundary` finds the deepest tensor that the coefficient does not change
        layer.trainable = any(id(weight) in moving for weight in layer.weights)
    tensor = boundary(model)
    if prefix(model, tensor).weights:
        (arrays,) = compute_features(model, [tensor], val)
        rows = np.asarray(arrays["values"], np.float32)
        arrays.close()
    else:
        tensor = input_tensor(model)
        rows = np.asarray(val.arrays(model_inputs(model)), np.float32)
    top = suffix(model, tensor)
    found = []
    for share in coefficients:
        interpolate_weights(model, before, after, share)
        parts = [np.asarray(top.predict_on_batch(rows[i : i + 64])) for i in range(0, len(rows), 64)]
        answers = two_columns(np.concatenate(parts))
        of_truth = answers[np.arange(len(val)), val.labels]
        right = float(correct(val.labels, answers).mean())
        loss = float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())
        found.append({"share": float(share), "accuracy": right, "log_loss": loss})
    best = max(found, key=lambda row: (row["accuracy"], -row["log_loss"]))
    interpolate_weights(model, before, after, best["share"])
    return best["share"], found


def _check(model: keras.Model, *states: Sequence[Array]) -> None:
    shapes = [tuple(weight.shape) for weight in model.weights]
    if not all([np.shape(array) for array in state] == shapes for state in states):
        raise InputError("The weights to interpolate are those of another model: give two states of this one.")
