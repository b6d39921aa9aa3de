"""BatchNorm's statistics: how far those of other photographs lie from the stored ones, and taking them anew (AdaBN)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_transfer.data import Split
from keras_transfer.errors import InputError
from keras_transfer.models.graph import input_tensor, model_inputs, nodes
from keras_transfer.models.stage import stages

Array = np.ndarray[Any, Any]
_BATCH_PIXELS = 64 * 96 * 96  # that one pass holds in memory, in 16 to 64 photographs


def batch_size(model: keras.Model) -> int:
    """How many photographs at a time BatchNorm's statistics are taken from: 16 to 64, fewer the larger they are."""
    height, width = model.input_shape[1:3]
    return int(np.clip(_BATCH_PIXELS / (height * width), 16, 64))


def adapt_batchnorm(
    model: keras.Model,
    split: Split,
    *,
    reference: Split | None = None,
    images: int = 256,
    prior: float = 0.0,
    seed: int = 0,
) -> int:
    """AdaBN (Li et al. 2016, https://arxiv.org/abs/1603.04779): BatchNorm's statistics are taken anew from photographs.

    Needs no labels and trains nothing: where photographs differ from those of the training in contrast, brightness,
    colour or the camera, each layer's inputs are brought back to the mean and variance that its weights were made for.

    AdaBN takes the stored statistics for those of the training photographs. That is so where BatchNorm was trained on
    them; after fine-tuning or training a head with BatchNorm frozen, as this package does, they are the pretraining's,
    and taking the new ones would undo, besides the shift, what the head has learnt to live with. With `reference`, the
    layers are made to see the new photographs as they see those.

    Args:
        model: a functional classifier on pixels in 0..255. Changed in place.
        split: photographs of the new kind; labels are not read. The classes should be mixed much as they will be.
        reference: photographs of the kind that the classifier was trained on, where BatchNorm was frozen; None where
            it was not.
        images: at most so many of each are used, drawn at random.
        prior: so many photographs' worth of the stored statistics are kept in the mean (Schneider et al. 2020,
            https://arxiv.org/abs/2006.16971); some 16 where there are few photographs.
        seed: of the draw.

    Returns:
        How many photographs were used.

    Raises:
        InputError: the model has no BatchNorm, or a split no photographs.
    """
    import tensorflow as tf

    layers = batchnorm_layers(model)
    if not layers:
        raise InputError(f"Model {model.name!r} has no BatchNormalization, so there is nothing to adapt in this way.")
    for given in (split, reference):
        if given is not None and not len(given):
            raise InputError(f"The {given.name or 'given'} split holds no photographs. Give some of the new kind.")
    stored = [_statistics(layer) for layer in layers]
    usual = {
        id(layer): (np.zeros(len(mean)), np.ones(len(mean))) for layer, (mean, _) in zip(layers, stored, strict=True)
    }
    if reference is not None:
        measured = _moments(model)(some(reference, images, seed))
        usual |= {id(layer): found for layer, found in measured}
    part = some(split, images, seed)
    count, sums = 0, [np.zeros((3, len(mean))) for mean, _ in stored]
    with _taking_statistics(model, layers, usual):

        @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)], jit_compile=False)
        def show(pixels: Any) -> None:  # as a graph: Keras would keep every layer's output to the end
            model(tf.cast(pixels, tf.float32), training=True)

        for pixels, _ in part.batches(model_inputs(model), batch_size(model)):
            show(pixels)
            count += len(pixels)
            for total, (mean, variance) in zip(sums, map(_statistics, layers), strict=True):
                total += len(pixels) * np.stack([mean, mean**2, variance])
    share = prior / (prior + count)
    for layer, total, (old_mean, old_variance) in zip(layers, sums, stored, strict=True):
        mean, square, within = total / count
        variance = within + np.maximum(square - mean**2, 0)  # in the batches, and between them
        off, scale = usual[id(layer)]
        # The statistics under which the new inputs come out with mean `off` and variance `scale`, as the usual ones do.
        new_variance = (variance + layer.epsilon) / scale - layer.epsilon
        new_mean = mean - off * np.sqrt(new_variance + layer.epsilon)
        layer.moving_mean.assign(share * old_mean + (1 - share) * new_mean)
        layer.moving_variance.assign(np.maximum(share * old_variance + (1 - share) * new_variance, 0))
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
    return shift_meter(model)(some(split, images, seed))


def shift_meter(model: keras.Model) -> Callable[[Split], list[dict[str, Any]]]:
    """`batchnorm_shift` for several sets of photographs, which prepares the model once.

    Args:
        model: as for `batchnorm_shift`.

    Returns:
        A function that measures all photographs of a split.
    """
    place = {id(layer): stage.name for stage in stages(model) for layer in stage.layers}
    moments = _moments(model)

    def measure(split: Split) -> list[dict[str, Any]]:
        squares: dict[str, list[Array]] = {}
        for layer, (mean, variance) in moments(split):
            if id(layer) in place:
                squares.setdefault(place[id(layer)], []).append(hellinger_squared(mean, variance))
        return [
            {"stage": name, "layers": len(found), "distance": float(np.sqrt(np.concatenate(found).mean()))}
            for name, found in squares.items()
        ]

    return measure


def _moments(model: keras.Model) -> Callable[[Split], list[tuple[Any, tuple[Array, Array]]]]:
    """A function giving each BatchNorm layer with the mean and variance of its normalized inputs over a split: 0 and 1
    where they are as stored. The variance has the layer's epsilon in it, as in what the layer divides by."""
    import tensorflow as tf

    calls = {id(n.operation): n for n in nodes(model) if isinstance(n.operation, keras.layers.BatchNormalization)}
    watched = [node for node in calls.values() if node.operation.axis in (-1, len(node.output.shape) - 1)]
    if not watched:
        return lambda split: []
    inputs = keras.Model(input_tensor(model), [node.inputs[0] for node in watched])
    stored = [(*_statistics(node.operation), float(node.operation.epsilon)) for node in watched]

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)], jit_compile=False)
    def batch_moments(pixels: Any) -> list[Any]:
        found = []
        for values, (mean, variance, epsilon) in zip(
            tf.nest.flatten(inputs(tf.cast(pixels, tf.float32), training=False)), stored, strict=True
        ):
            # In units of the stored deviation: nothing overflows, and no digits are lost where a mean is large.
            scaled = (values - mean.astype(np.float32)) / np.sqrt(variance + epsilon).astype(np.float32)
            axes = list(range(len(values.shape) - 1))
            found.append(tf.stack([tf.reduce_mean(scaled, axes), tf.reduce_mean(scaled**2, axes)]))
        return found

    def measure(split: Split) -> list[tuple[Any, tuple[Array, Array]]]:
        sums: list[Array] = [np.zeros((2, len(mean))) for mean, _, _ in stored]
        for pixels, _ in split.batches(model_inputs(model), batch_size(model)):
            for total, found in zip(sums, batch_moments(pixels), strict=True):
                total += len(pixels) / len(split) * found.numpy()
        return [
            (node.operation, (mean, np.maximum(square - mean**2, 0) + epsilon / (variance + epsilon)))
            for node, (mean, square), (_, variance, epsilon) in zip(watched, sums, stored, strict=True)
        ]

    return measure


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
def _taking_statistics(
    model: keras.Model, layers: list[Any], usual: Mapping[int, tuple[Array, Array]]
) -> Iterator[None]:
    """Inside, a call in training mode leaves the statistics of its batch in the layers, which give each batch the mean
    and variance that their normalized outputs usually have; nothing else is random."""
    random = [layer for layer in model._flatten_layers() if isinstance(getattr(layer, "rate", None), float)]
    names = ("momentum", "trainable", "scale", "center", "gamma", "beta")
    before = [{name: getattr(layer, name) for name in names} for layer in layers]
    rates = [layer.rate for layer in random]
    for layer in layers:
        off, scale = usual[id(layer)]
        gamma = np.ones(len(off)) if layer.gamma is None else keras.ops.convert_to_numpy(layer.gamma)
        beta = np.zeros(len(off)) if layer.beta is None else keras.ops.convert_to_numpy(layer.beta)
        layer.momentum, layer.trainable, layer.scale, layer.center = 0.0, True, True, True
        object.__setattr__(layer, "gamma", keras.ops.convert_to_tensor((gamma * np.sqrt(scale)).astype(np.float32)))
        object.__setattr__(layer, "beta", keras.ops.convert_to_tensor((beta + gamma * off).astype(np.float32)))
    for layer in random:
        layer.rate = 0.0
    try:
        yield
    finally:
        for layer, settings in zip(layers, before, strict=True):
            for name, value in settings.items():
                (object.__setattr__ if name in ("gamma", "beta") else setattr)(layer, name, value)
        for layer, rate in zip(random, rates, strict=True):
            layer.rate = rate
