"""BatchNorm's statistics: how far those of other items lie from the stored ones, and estimating them anew (AdaBN)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from keras_transfer.data import Split
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, InputSpec, as_tuple
from keras_transfer.models.graph import model_inputs, nodes, size, start_of
from keras_transfer.models.stage import stages

if TYPE_CHECKING:
    import tensorflow as tf

BatchNorm: TypeAlias = keras.layers.BatchNormalization
Moments: TypeAlias = tuple[Array, Array]
"""Means and variances, one for each channel."""
_BATCH_VALUES = 64 * 96 * 96 * 3  # of the items that one pass holds in memory, which are 16 to 64


class StageShift(TypedDict):
    """How far a stage's inputs lie from those of the pretraining."""

    stage: str
    layers: int  # how many BatchNorm layers it has
    distance: float  # 0..1, root mean square over all their channels


def batch_size(model: keras.Model) -> int:
    """How many items at a time BatchNorm's statistics are estimated from: 16 to 64, fewer the larger they are."""
    return int(np.clip(_BATCH_VALUES / size(model.inputs), 16, 64))


def adapt_batchnorm(
    model: keras.Model,
    split: Split,
    *,
    reference: Split | None = None,
    n_items: int = 256,
    prior: float = 0.0,
    seed: int = 0,
) -> int:
    """AdaBN (Li et al. 2016, https://arxiv.org/abs/1603.04779): BatchNorm's statistics are estimated on new items.

    Needs no labels and trains nothing: where items differ from those of the training in contrast, loudness, colour or
    the sensor, each layer's inputs are brought back to the mean and variance that its weights were made for.

    AdaBN takes the stored statistics for those of the training items. That is so where BatchNorm was trained on them;
    after fine-tuning or training a head with BatchNorm frozen, as this package does, they are the pretraining's, and
    new ones would undo, besides the shift, what the head has learnt. With `reference`, the layers give the new items
    the statistics that they give those.

    Args:
        model: a functional classifier. Changed in place.
        split: items of the new domain; labels are not read. The classes should be mixed much as they will be.
        reference: items of the domain that the classifier was trained on, where BatchNorm was frozen; None where it
            was not.
        n_items: at most so many of each are used, drawn at random.
        prior: how many items' worth of the stored statistics are kept in the mean (Schneider et al. 2020,
            https://arxiv.org/abs/2006.16971); some 16 where there are few items.
        seed: of the draw.

    Returns:
        How many items were used.

    Raises:
        InputError: the model has no BatchNorm, or a split no items.
    """
    layers = batchnorm_layers(model)
    if not layers:
        raise InputError(f"Model {model.name!r} has no BatchNormalization, so there is nothing to adapt in this way.")
    for each in (split, reference):
        if each is not None and not len(each):
            raise InputError(f"The {each.name or 'new'} split holds no items. Choose one with some of the new domain.")
    stored = [_statistics(layer) for layer in layers]
    usual = {
        id(layer): (np.zeros(len(mean)), np.ones(len(mean))) for layer, (mean, _) in zip(layers, stored, strict=True)
    }
    if reference is not None:
        usual |= {id(layer): moments for layer, moments in _moments(model)(some(reference, n_items, seed))}
    part = some(split, n_items, seed)
    sums = _batch_statistics(model, layers, usual, part)
    share = prior / (prior + len(part))
    for layer, total, (old_mean, old_variance) in zip(layers, sums, stored, strict=True):
        mean, square, within = total / len(part)
        variance = within + np.maximum(square - mean**2, 0)  # in the batches, and between them
        off, scale = usual[id(layer)]
        # The statistics under which the new inputs come out with mean `off` and variance `scale`, as the usual ones do.
        new_variance = (variance + layer.epsilon) / scale - layer.epsilon
        new_mean = mean - off * np.sqrt(new_variance + layer.epsilon)
        layer.moving_mean.assign(share * old_mean + (1 - share) * new_mean)
        layer.moving_variance.assign(np.maximum(share * old_variance + (1 - share) * new_variance, 0))
    return len(part)


def _batch_statistics(
    model: keras.Model, layers: Sequence[BatchNorm], usual: Mapping[int, Moments], split: Split
) -> list[Array]:
    """For each layer the sums over items of its batches' mean, squared mean and variance, `[3, channels]`."""
    import tensorflow as tf

    sums = [np.zeros((3, len(usual[id(layer)][0]))) for layer in layers]
    spec = split.spec(model_inputs(model))
    with _collecting_statistics(model, layers, usual):

        @tf.function(input_signature=_signature(spec), jit_compile=False)
        def pass_through(*arrays: "tf.Tensor") -> None:  # as a graph: Keras would keep every layer's output to the end
            model(_cast(model, arrays), training=True)

        for arrays, labels in split.batches(spec, batch_size(model)):
            pass_through(*as_tuple(arrays))
            for total, (mean, variance) in zip(sums, map(_statistics, layers), strict=True):
                total += len(labels) * np.stack([mean, mean**2, variance])
    return sums


def _signature(spec: InputSpec) -> "list[tf.TensorSpec]":
    import tensorflow as tf

    return [tf.TensorSpec((None, *tensor.shape), tensor.dtype) for tensor in spec.tensors]


def _cast(model: keras.Model, arrays: "Sequence[tf.Tensor]") -> "tf.Tensor | list[tf.Tensor]":
    """A batch of items as the model's inputs."""
    inputs = [keras.ops.cast(array, tensor.dtype) for array, tensor in zip(arrays, model.inputs, strict=True)]
    return keras.tree.pack_sequence_as(model.input, inputs) if len(inputs) > 1 else inputs[0]


def batchnorm_shift(model: keras.Model, split: Split, *, n_items: int = 128, seed: int = 0) -> list[StageShift]:
    """How far items lie from those a backbone was pretrained on, by stage, as its BatchNorm layers measure it.

    Each layer keeps the mean and variance of every channel over the pretraining data. The distance is Hellinger's
    (1909), of the two normal distributions with these and with the items' own moments: 0 where they are the same,
    1 where they do not overlap. (Li et al. 2016 look at the same statistics by their symmetric divergence, which has no
    bound and is ruled by a few channels.)

    Args:
        model: a functional classifier with the pretrained statistics.
        split: the items; labels are not read.
        n_items: at most so many of them are used, drawn at random.
        seed: of the draw.

    Returns:
        One row for each stage that has BatchNorm layers. Empty where the model has none.
    """
    return shift_meter(model)(some(split, n_items, seed))


def shift_meter(model: keras.Model) -> Callable[[Split], list[StageShift]]:
    """`batchnorm_shift` for several sets of items, which prepares the model once.

    Args:
        model: as for `batchnorm_shift`.

    Returns:
        A function that measures all items of a split.
    """
    stage_of = {id(layer): stage.name for stage in stages(model) for layer in stage.layers}
    moments = _moments(model)

    def measure(split: Split) -> list[StageShift]:
        squares: dict[str, list[Array]] = {}
        for layer, (mean, variance) in moments(split):
            if id(layer) in stage_of:
                squares.setdefault(stage_of[id(layer)], []).append(hellinger_squared(mean, variance))
        return [
            {"stage": name, "layers": len(parts), "distance": float(np.sqrt(np.concatenate(parts).mean()))}
            for name, parts in squares.items()
        ]

    return measure


def _moments(model: keras.Model) -> Callable[[Split], list[tuple[BatchNorm, Moments]]]:
    """A function giving each BatchNorm layer with the mean and variance of its normalized inputs over a split: 0 and 1
    where they are as stored. The variance has the layer's epsilon in it, as in what the layer divides by."""
    import tensorflow as tf

    calls = {id(n.operation): n for n in nodes(model) if isinstance(n.operation, keras.layers.BatchNormalization)}
    watched = [node for node in calls.values() if node.operation.axis in (-1, len(node.output.shape) - 1)]
    if not watched:
        return lambda split: []
    inputs = keras.Model(start_of(model), [node.inputs[0] for node in watched])
    stored = [(*_statistics(node.operation), float(node.operation.epsilon)) for node in watched]

    @tf.function(jit_compile=False, reduce_retracing=True)
    def batch_moments(*arrays: tf.Tensor) -> list[tf.Tensor]:
        rows = []
        for values, (mean, variance, epsilon) in zip(
            tf.nest.flatten(inputs(_cast(inputs, arrays), training=False)), stored, strict=True
        ):
            # In units of the stored deviation: nothing overflows, and no digits are lost where a mean is large.
            scaled = (values - mean.astype(np.float32)) / np.sqrt(variance + epsilon).astype(np.float32)
            axes = list(range(len(values.shape) - 1))
            rows.append(tf.stack([tf.reduce_mean(scaled, axes), tf.reduce_mean(scaled**2, axes)]))
        return rows

    def measure(split: Split) -> list[tuple[BatchNorm, Moments]]:
        sums: list[Array] = [np.zeros((2, len(mean))) for mean, _, _ in stored]
        for arrays, labels in split.batches(model_inputs(model), batch_size(model)):
            for total, part in zip(sums, batch_moments(*map(tf.constant, as_tuple(arrays))), strict=True):
                total += len(labels) / len(split) * part.numpy()
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


def batchnorm_layers(model: keras.Model) -> list[BatchNorm]:
    """The model's BatchNormalization layers, also those inside nested models."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def some(split: Split, n_items: int, seed: int = 0) -> Split:
    """At most so many items of a split, drawn whatever their labels, in their order."""
    if len(split) <= n_items:
        return split
    return split.take(np.sort(np.random.default_rng(seed).choice(len(split), n_items, replace=False)))


def _statistics(layer: BatchNorm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
    return mean.astype(np.float64), variance.astype(np.float64)


@contextmanager
def _collecting_statistics(
    model: keras.Model, layers: Sequence[BatchNorm], usual: Mapping[int, Moments]
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
