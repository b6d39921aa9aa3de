"""Feature alignment: fine-tuning the top so that photographs of a new kind, without labels, look like the old ones."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import keras
import numpy as np

from keras_transfer.data import Dataset, Split
from keras_transfer.errors import InputError
from keras_transfer.models import boundary, freeze_backbone, logits_of, suffix, unfreeze_top
from keras_transfer.progress import say
from keras_transfer.training.features import compute_features, one_hot
from keras_transfer.training.feed import Samples

Array = np.ndarray[Any, Any]
Penalty = Callable[[Any, Any], Any]


def align(
    model: keras.Model,
    data: Dataset,
    target: Split,
    *,
    method: str = "coral",
    weight: float = 1.0,
    stages: int = 1,
    epochs: int = 4,
    learning_rate: float = 1e-4,
    batch_size: int = 32,
    seed: int = 0,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Trains the top on labelled photographs and, at the same time, to see new ones as it sees these.

    The loss is that of the labelled photographs and `weight` times how far the features below the head differ between
    a batch of them and a batch of new ones. What lies below the trained stages is computed once. There are no labels to
    stop early by: the weights after the last epoch are kept.

    Args:
        model: a trained classifier on pixels in 0..255. Trained in place.
        data: what it was trained on; `data.train` is used.
        target: photographs of the new kind; labels are not read.
        method: `"coral"`: means, and covariances relative to their size (after Sun & Saenko 2016,
            https://arxiv.org/abs/1607.01719); `"mmd"`: maximum mean discrepancy (Long et al. 2015,
            https://arxiv.org/abs/1502.02791); `"dann"`: a discriminator that the features are trained to deceive
            (Ganin et al. 2016, https://arxiv.org/abs/1505.07818).
        weight: of the alignment.
        stages: how many stages of the backbone train, from the top.
        epochs: passes over the labelled photographs.
        learning_rate: of Adam, falling along a cosine.
        batch_size: photographs of each kind in a step.
        seed: of orders, and of the discriminator's weights.
        on_epoch: called with each epoch's figures.

    Returns:
        One row an epoch: `epoch`, `loss` (of the labels) and `alignment` (the unweighted penalty).

    Raises:
        InputError: an unknown method, or a side without photographs.
    """
    import tensorflow as tf

    if method not in PENALTIES:
        raise InputError(f"`method` must be {', '.join(map(repr, PENALTIES))}. Received: method={method!r}.")
    if not len(target) or not len(data.train):
        raise InputError("Alignment needs labelled training photographs and some of the new kind.")
    keras.utils.set_random_seed(seed)
    freeze_backbone(model)
    features = boundary(model)
    unfreeze_top(model, stages=stages)
    tensor = boundary(model)
    top = suffix(model, tensor, output=[features, logits_of(model)])
    arrays = [compute_features(model, [tensor], split)[0] for split in (data.train, target)]
    ones = np.zeros((len(target), 1), np.float32)
    labels = one_hot(data.train.labels, len(data.class_names)) if top.outputs[1].shape[-1] > 1 else None
    labels = data.train.labels.astype(np.float32).reshape(-1, 1) if labels is None else labels
    ours, theirs = Samples(arrays[0], "values", labels), Samples(arrays[1], "values", ones)
    batch_size = min(batch_size, len(ours), len(theirs))
    steps = len(ours) // batch_size
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps * epochs))
    penalty, extra = PENALTIES[method](int(features.shape[-1]))
    yes_or_no = data.multi_label or labels.shape[1] == 1
    kind: Any = keras.losses.BinaryCrossentropy if yes_or_no else keras.losses.CategoricalCrossentropy
    of_labels = kind(from_logits=True)
    variables = top.trainable_variables
    optimizer.build(variables)
    # Ganin et al. give what is new ten times the rate of what is pretrained: a discriminator that lags behind misleads.
    faster = keras.optimizers.Adam(10 * learning_rate)
    faster.build(extra)

    @tf.function(jit_compile=False, reduce_retracing=True)
    def step(first: Any, targets: Any, second: Any, strength: Any) -> Any:
        with tf.GradientTape() as tape:
            # BatchNorm is frozen, so the two halves do not meet in it.
            seen, logits = top(tf.concat([first, second], axis=0), training=True)
            count = tf.shape(first)[0]
            loss = of_labels(targets, logits[:count])
            apart = penalty(seen[:count], seen[count:])
            total = loss + weight * strength * apart
        slopes = tape.gradient(total, [*variables, *extra])
        optimizer.apply(slopes[: len(variables)], variables)
        if extra:
            faster.apply(slopes[len(variables) :], extra)
        return loss, apart

    streams = _batches(ours, batch_size, seed), _batches(theirs, batch_size, seed + 1)
    rows: list[dict[str, Any]] = []
    for epoch in range(epochs):
        sums = np.zeros(2)
        for number in range(steps):
            (first, targets), (second, _) = next(streams[0]), next(streams[1])
            # Ganin et al.'s schedule: the features are let settle before they are pushed.
            strength = 2 / (1 + np.exp(-10 * (epoch * steps + number) / (epochs * steps))) - 1
            sums += [float(value) for value in step(first, targets, second, np.float32(strength))]
        means = (sums / steps).tolist()
        rows.append({"epoch": epoch + 1, "loss": means[0], "alignment": means[1]})
        say(f"{method} {epoch + 1:>2}  loss {rows[-1]['loss']:.3f}  alignment {rows[-1]['alignment']:.3f}")
        if on_epoch is not None:
            on_epoch(rows[-1])
    for opened in arrays:
        opened.close()
    return rows


def _batches(samples: Samples, batch_size: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Whole batches only: a penalty between sets of changing size would change with it."""
    for inputs, labels, _ in map(samples.drawn(batch_size, seed, 0), count()):
        if len(inputs) == batch_size:
            yield inputs, labels


def _coral(first: Any, second: Any) -> Any:
    import tensorflow as tf

    def moments(rows: Any) -> tuple[Any, Any]:
        mean = tf.reduce_mean(rows, axis=0, keepdims=True)
        centred = rows - mean
        return mean, tf.matmul(centred, centred, transpose_a=True) / tf.cast(tf.shape(rows)[0] - 1, tf.float32)

    (mean, covariance), (other_mean, other_covariance) = moments(first), moments(second)
    # Relative to their sizes: one weight serves features of every scale, and nothing is gained by shrinking them all.
    size = tf.reduce_sum(covariance**2) + tf.reduce_sum(other_covariance**2) + 1e-9
    spread = tf.linalg.trace(covariance) + tf.linalg.trace(other_covariance) + 1e-9
    gap = tf.reduce_sum((mean - other_mean) ** 2) / spread
    return tf.reduce_sum((covariance - other_covariance) ** 2) / size + gap


def _mmd(first: Any, second: Any) -> Any:
    import tensorflow as tf

    both = tf.concat([first, second], axis=0)
    norms = tf.reduce_sum(both**2, axis=1)
    squares = tf.maximum(norms[:, None] + norms[None] - 2 * tf.matmul(both, both, transpose_b=True), 0.0)
    width = tf.stop_gradient(tf.reduce_mean(squares)) + 1e-9
    kernel = tf.add_n([tf.exp(-squares / (width * scale)) for scale in (0.25, 0.5, 1.0, 2.0, 4.0)]) / 5.0
    count = tf.shape(first)[0]
    inner = tf.reduce_mean(kernel[:count, :count]) + tf.reduce_mean(kernel[count:, count:])
    return inner - 2 * tf.reduce_mean(kernel[:count, count:])


def _dann(first: Any, second: Any, discriminator: keras.Model) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def reverse(rows: Any) -> Any:
        return tf.identity(rows), lambda slope: -slope

    said = discriminator(reverse(tf.concat([first, second], axis=0)), training=True)
    truth = tf.concat([tf.zeros_like(said[: tf.shape(first)[0]]), tf.ones_like(said[tf.shape(first)[0] :])], axis=0)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, said))


def _with_discriminator(width: int) -> tuple[Penalty, list[Any]]:
    # Normalized first: the features could deceive it without end by growing.
    layers = [keras.layers.LayerNormalization(), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(1)]
    discriminator = keras.Sequential([keras.Input((width,)), *layers])
    return partial(_dann, discriminator=discriminator), discriminator.trainable_variables


PENALTIES: dict[str, Callable[[int], tuple[Penalty, list[Any]]]] = {
    "coral": lambda width: (_coral, []),
    "mmd": lambda width: (_mmd, []),
    "dann": _with_discriminator,
}
"""For each method, from the number of features: the penalty of two batches of them, and its own variables."""
