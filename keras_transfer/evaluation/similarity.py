"""How similar two networks see the same items: linear CKA, stage by stage."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, as_tuple
from keras_transfer.litert.frozen import pack_inputs
from keras_transfer.models import side_inputs, stages, suffix
from keras_transfer.models.graph import start_of
from keras_transfer.models.stage import Stage
from keras_transfer.schemas import StageSimilarity

Rows = NDArray[np.floating]
_SIDE = 28  # finer maps are averaged down to it: their Gram matrices hardly change, their size does
_BATCH = 8


def linear_cka(first: Rows, second: Rows) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, https://arxiv.org/abs/1905.00414).

    Blind to rotations and to one common scale of the features.

    Args:
        first: float `[n, features]`, one row per item.
        second: float `[n, other features]` of the same items.

    Returns:
        0..1; 1 where one is the other rotated and scaled; 0 where either does not vary.

    >>> rows = np.random.default_rng(0).normal(size=(20, 4))
    >>> round(linear_cka(rows, -3 * rows[:, ::-1] + 1), 9)
    1.0
    """
    return _alignment(_gram(np.asarray(first)), _gram(np.asarray(second)))


def cka_by_stage(
    model: keras.Model,
    other: keras.Model,
    items: Arrays,
    known: Callable[[keras.KerasTensor], Rows] | None = None,
) -> list[StageSimilarity]:
    """Linear CKA of two networks of one architecture at the end of every stage.

    Args:
        model: a functional classifier, such as a fine-tuned one.
        other: the same network with other weights, such as the pretrained ones; its head may differ.
        items: `[n, ...]` as the model takes them, of several inputs a tuple; some 100 items are enough, and more are
            worth their time only where n is far below.
        known: gives the values of a tensor of `model` for these items, where they are cached; called once at most, for
            the last tensor up to which both networks have the same weights.

    Returns:
        One row per stage, from the input up.

    Raises:
        InputError: the networks have different stages.
    """
    ours, theirs = stages(model), stages(other)
    shapes = [[tuple(stage.output.shape[1:]) for stage in side] for side in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{model.name!r} and {other.name!r} have different stages, which cannot be compared.")
    # Up to where their weights differ the networks are one: its output is computed once, and is the same by definition.
    same = next((i for i, pair in enumerate(zip(ours, theirs, strict=True)) if not _equal(*pair)), len(ours))
    if same == len(ours):
        return [{"stage": stage.name, "cka": 1.0} for stage in ours]
    values = as_tuple(items)
    starts = [start_of(network) for network in (model, other)]
    if same:
        shared = ours[same - 1].output
        first = known(shared) if known is not None else _answers(keras.Model(start_of(model), shared), values)[0]
        beside = {id(side) for side in side_inputs(model, shared)}
        values = (first, *(v for v, tensor in zip(values, model.inputs, strict=True) if id(tensor) in beside))
        starts = [side[same - 1].output for side in (ours, theirs)]
    rests = [
        suffix(network, start, [_pooled(stage.output) for stage in side[same:]])
        for network, start, side in zip((model, other), starts, (ours, theirs), strict=True)
    ]
    grams = [[_gram(rows.reshape(len(rows), -1)) for rows in _answers(rest, values)] for rest in rests]
    similar = [1.0] * same + [_alignment(first, second) for first, second in zip(*grams, strict=True)]
    return [{"stage": stage.name, "cka": cka} for stage, cka in zip(ours, similar, strict=True)]


def _equal(first: Stage, second: Stage) -> bool:
    ours, theirs = ([value for layer in stage.layers for value in layer.get_weights()] for stage in (first, second))
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def _answers(model: keras.Model, arrays: Sequence[Array]) -> list[Rows]:
    """What a model makes of its inputs: one array per output."""
    import tensorflow as tf

    def call(*values: tf.Tensor) -> list[tf.Tensor]:
        inputs = [tf.cast(value, tensor.dtype) for value, tensor in zip(values, model.inputs, strict=True)]
        outputs: list[tf.Tensor] = tf.nest.flatten(model(pack_inputs(model, inputs), training=False))
        return outputs

    traced = tf.function(call, jit_compile=False, autograph=False)
    starts = range(0, len(arrays[0]), _BATCH)
    blocks = [[v.numpy() for v in traced(*(array[i : i + _BATCH] for array in arrays))] for i in starts]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _pooled(tensor: keras.KerasTensor) -> keras.KerasTensor:
    if len(tensor.shape) != 4 or None in tensor.shape[1:] or min(tensor.shape[1:3]) <= _SIDE:
        return tensor
    return keras.layers.AveragePooling2D(int(min(tensor.shape[1:3]) // _SIDE))(tensor)


def _gram(rows: Rows) -> Rows:
    values: Rows = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    return values @ values.T


def _alignment(first: Rows, second: Rows) -> float:
    sizes = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / sizes) if sizes > 1e-12 else 0.0
