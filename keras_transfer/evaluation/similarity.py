"""How alike two networks see the same pictures: linear CKA, stage by stage."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.models import stages
from keras_transfer.models.graph import input_tensor
from keras_transfer.models.stage import Stage

Array = np.ndarray[Any, Any]
_SIDE = 28  # finer maps are averaged down to it: their Gram matrices hardly change, their size does
_BATCH = 8


def linear_cka(first: Array, second: Array) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, https://arxiv.org/abs/1905.00414).

    Blind to rotations and to one common scale of the features.

    Args:
        first: float `[n, features]`, one row a picture.
        second: float `[n, other features]` of the same pictures.

    Returns:
        0..1; 1 where one is the other rotated and scaled; 0 where either does not vary.

    >>> rows = np.random.default_rng(0).normal(size=(20, 4))
    >>> round(linear_cka(rows, -3 * rows[:, ::-1] + 1), 9)
    1.0
    """
    return _alignment(_gram(np.asarray(first)), _gram(np.asarray(second)))


def cka_by_stage(
    model: keras.Model, other: keras.Model, pixels: Array, known: Callable[[Any], Array] | None = None
) -> list[dict[str, Any]]:
    """Linear CKA of two networks of one architecture at the end of every stage.

    Args:
        model: a functional classifier on pixels in 0..255, such as a fine-tuned one.
        other: the same network with other weights, such as the pretrained ones; its head may differ.
        pixels: `uint8 [n, H, W, 3]`; some 100 pictures do, and more are worth their time only where n is far below.
        known: gives the values of a KerasTensor of `model` for these pictures, where somebody keeps them; asked once,
            for the last tensor that both networks have alike.

    Returns:
        One row a stage, from the input up: `stage` and `cka`.

    Raises:
        InputError: the networks have different stages.
    """
    ours, theirs = stages(model), stages(other)
    shapes = [[tuple(stage.output.shape[1:]) for stage in side] for side in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{model.name!r} and {other.name!r} have different stages, which cannot be compared.")
    # Up to where their weights part the networks are one: what leaves it is computed once, and is alike by definition.
    same = next((i for i, pair in enumerate(zip(ours, theirs, strict=True)) if not _equal(*pair)), len(ours))
    if same == len(ours):
        return [{"stage": stage.name, "cka": 1.0} for stage in ours]
    start, values = [input_tensor(model), input_tensor(other)], pixels
    if same:
        shared = ours[same - 1].output
        values = known(shared) if known is not None else _answers(keras.Model(start[0], shared), pixels)[0]
        start = [side[same - 1].output for side in (ours, theirs)]
    rests = [
        keras.Model(begin, [_pooled(stage.output) for stage in side[same:]])
        for begin, side in zip(start, (ours, theirs), strict=True)
    ]
    grams = [[_gram(rows.reshape(len(rows), -1)) for rows in _answers(rest, values)] for rest in rests]
    alike = [1.0] * same + [_alignment(first, second) for first, second in zip(*grams, strict=True)]
    return [{"stage": stage.name, "cka": cka} for stage, cka in zip(ours, alike, strict=True)]


def _equal(first: Stage, second: Stage) -> bool:
    ours, theirs = ([value for layer in stage.layers for value in layer.get_weights()] for stage in (first, second))
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def _answers(model: keras.Model, inputs: Array) -> list[Array]:
    """What a model makes of `inputs`, an array an output."""
    import tensorflow as tf

    call = tf.function(
        lambda x: tf.nest.flatten(model(tf.cast(x, tf.float32), training=False)), jit_compile=False, autograph=False
    )
    blocks = [[v.numpy() for v in call(inputs[i : i + _BATCH])] for i in range(0, len(inputs), _BATCH)]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _pooled(tensor: Any) -> Any:
    if len(tensor.shape) != 4 or None in tensor.shape[1:] or min(tensor.shape[1:3]) <= _SIDE:
        return tensor
    return keras.layers.AveragePooling2D(int(min(tensor.shape[1:3]) // _SIDE))(tensor)


def _gram(rows: Array) -> Array:
    values = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    return values @ values.T


def _alignment(first: Array, second: Array) -> float:
    sizes = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / sizes) if sizes > 1e-12 else 0.0
