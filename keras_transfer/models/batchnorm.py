"""BatchNorm's statistics: how far those of other photographs lie from the stored ones, and taking them anew (AdaBN)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_transfer.data import Split
from keras_transfer.errors import InputError
from keras_transfer.models.graph import nodes
from keras_transfer.models.stage import stages

Array = np.ndarray[Any, Any]
_BATCH_PIXELS = 64 * 96 * 96  # that one pass holds in memory, in 16 to 64 photographs


def batch_size(model: keras.Model) -> int:
    """How many photographs at a time BatchNorm's statistics are taken from: 16 to 64, fewer the larger they are."""
    height, width = model.input_shape[1:3]
    return int(np.clip(_BATCH_PIXELS / (height * width), 16, 64))


def adapt_batchnorm(model: keras.Model, split: Split, *, images: int = 256, prior: float = 0.0, seed: int = 0) -> int:
    """AdaBN (Li et al. 2016, https://arxiv.org/abs/1603.04779): BatchNorm's statistics are taken anew from photographs.

    Needs no labels and trains nothing: where photographs differ from those of the training in contrast, brightness,
    colour or the camera, each layer's inputs are brought back to the mean and variance that its weights were made for.

    Args:
        model: a functional classifier on pixels in 0..255. Changed in place.
        split: photographs of the new kind; labels are not read. The classes should be mixed much as they will be.
        images: at most so many of them are used, drawn at random.
        prior: so many photographs' worth of the stored statistics are kept in the mean (Schneider et al. 2020,
            https://arxiv.org/abs/2006.16971); some 16 where there are few photographs.
        seed: of the draw.

    Returns:
        How many photographs were used.

    Raises:
        InputError: the model has no BatchNorm, or the split no photographs.
    """
    layers = batchnorm_layers(model)
    if not layers:
        raise InputError(f"Model {model.name!r} has no BatchNormalization, so there is nothing to adapt in this way.")
    if not len(split):
        raise InputError(f"The {split.name or 'given'} split holds no photographs. Give some of the new kind.")
    part = some(split, images, seed)
    stored = [_statistics(layer) for layer in layers]
    count, sums = 0, [np.zeros((3, len(mean))) for mean, _ in stored]
    with _taking_statistics(model, layers):
        for pixels, _ in part.batches(tuple(model.input_shape[1:3]), batch_size(model)):
            model(pixels.astype(np.float32), training=True)
            count += len(pixels)
            for total, (mean, variance) in zip(sums, map(_statistics, layers), strict=True):
                total += len(pixels) * np.stack([mean, mean**2, variance])
    for layer, total, (old_mean, old_variance) in zip(layers, sums, stored, strict=True):
        mean, square, within = total / count
        variance = within + np.maximum(square - mean**2, 0)  # in the batches, and between them
        share = prior / (prior + count)
        layer.moving_mean.assign(share * old_mean + (1 - share) * mean)
        layer.moving_variance.assign(share * old_variance + (1 - share) * variance)
    return count


def batchnorm_shift(model: keras.Model, split: Split, *, images: int = 128, seed: int = 0) -> list[dict[str, Any]]:
    """How far photographs lie from those a backbone was pretrained on, stage by stage, as its BatchNorm layers see it.

    Each layer keeps the mean and variance of every channel over the pretraining data. The distance is Hellinger's
    (1909), of the two normal distributions with these and with the photographs' own moments: 0 where they are the same,
    1 where they do not overlap. (Li et al. 2016 look at the same statistics by their symmetric divergence, which has no
    bound and is ruled by a few channels.)

    Args:
        model: a functional classifier on pixels in 0..255 with the pretrained statistics.
        split: the photographs; labels are not read.
        images: at most so many of them are used, drawn at random.
        seed: of the draw.

    Returns:
        One row a stage that has BatchNorm layers: `stage`, `layers` (how many) and `distance`, root mean square over
        all their channels. Empty where the model has none.
    """
    import tensorflow as tf

    place = {id(layer): stage.name for stage in stages(model) for layer in stage.layers}
    watched = [node for node in nodes(model) if isinstance(node.operation, keras.layers.BatchNormalization)]
    watched = [node for node in watched if id(node.operation) in place and node.operation.axis in (-1, 3)]
    if not watched or not len(split):
        return []
    inputs = keras.Model(model.inputs, [node.inputs[0] for node in watched])
    stored = [(*_statistics(node.operation), float(node.operation.epsilon)) for node in watched]

    @tf.function(reduce_retracing=True, jit_compile=False)
    def moments(pixels: Any) -> list[Any]:
        found = []
        for values, (mean, variance, epsilon) in zip(
            tf.nest.flatten(inputs(tf.cast(pixels, tf.float32), training=False)), stored, strict=True
        ):
            # In units of the stored deviation: nothing overflows, and no digits are lost where a mean is large.
            scaled = (values - mean.astype(np.float32)) / np.sqrt(variance + epsilon).astype(np.float32)
            axes = list(range(len(values.shape) - 1))
            found.append(tf.stack([tf.reduce_mean(scaled, axes), tf.reduce_mean(scaled**2, axes)]))
        return found

    part = some(split, images, seed)
    sums: list[Array] = [np.zeros((2, len(mean))) for mean, _, _ in stored]
    for pixels, _ in part.batches(tuple(model.input_shape[1:3]), batch_size(model)):
        for total, found in zip(sums, moments(pixels), strict=True):
            total += len(pixels) / len(part) * found.numpy()
    squares: dict[str, list[Array]] = {}
    for node, (mean, square), (_, variance, epsilon) in zip(watched, sums, stored, strict=True):
        smallest = epsilon / (variance + epsilon)  # what the layer itself adds to every variance
        own = np.maximum(square - mean**2, 0) + smallest
        squares.setdefault(place[id(node.operation)], []).append(hellinger_squared(mean, own))
    return [
        {"stage": name, "layers": len(found), "distance": float(np.sqrt(np.concatenate(found).mean()))}
        for name, found in squares.items()
    ]


def hellinger_squared(mean: Array, variance: Array) -> Array:
    """The squared Hellinger distance of normal distributions from the standard one, in 0..1.

    >>> hellinger_squared(np.array([0.0, 100.0]), np.array([1.0, 1.0])).round(6).tolist()
    [0.0, 1.0]
    """
    both = 1 + np.asarray(variance, np.float64)
    return 1 - np.sqrt(2 * np.sqrt(variance) / both) * np.exp(-(np.asarray(mean, np.float64) ** 2) / (4 * both))


def batchnorm_layers(model: keras.Model) -> list[Any]:
    """The model's BatchNormalization layers, also those inside nested models."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def some(split: Split, images: int, seed: int = 0) -> Split:
    """At most so many photographs of a split, drawn whatever their labels, in their order."""
    if len(split) <= images:
        return split
    return split.take(np.sort(np.random.default_rng(seed).choice(len(split), images, replace=False)))


def _statistics(layer: Any) -> tuple[Array, Array]:
    mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
    return mean.astype(np.float64), variance.astype(np.float64)


@contextmanager
def _taking_statistics(model: keras.Model, layers: list[Any]) -> Iterator[None]:
    """Inside, a call in training mode leaves the statistics of its batch in the layers; nothing else is random."""
    random = [layer for layer in model._flatten_layers() if isinstance(getattr(layer, "rate", None), float)]
    before = [(layer, layer.momentum, layer.trainable) for layer in layers], [layer.rate for layer in random]
    for layer in layers:
        layer.momentum, layer.trainable = 0.0, True
    for layer in random:
        layer.rate = 0.0
    try:
        yield
    finally:
        for layer, momentum, trainable in before[0]:
            layer.momentum, layer.trainable = momentum, trainable
        for layer, rate in zip(random, before[1], strict=True):
            layer.rate = rate
