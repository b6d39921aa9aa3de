"""Feature alignment: fine-tuning the top so that items of a new domain, without labels, look like the old ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from keras_transfer.data import Dataset, Split
from keras_transfer.data.labels import loss_targets
from keras_transfer.errors import InputError
from keras_transfer.inputs import Arrays, as_tuple
from keras_transfer.models import boundary, freeze_backbone, logits_of, suffix, unfreeze_top
from keras_transfer.models.head import head_loss
from keras_transfer.progress import say
from keras_transfer.training.features import frozen_boundary, suffix_arrays
from keras_transfer.training.feed import Samples

if TYPE_CHECKING:
    import tensorflow as tf

Penalty = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
"""From two batches of features, `[b, features]`, to how far they differ."""
Step = Callable[[Arrays, NDArray[np.float32], Arrays, np.float32], tuple["tf.Tensor", "tf.Tensor"]]


class AlignmentRow(TypedDict):
    """One epoch: the loss of the labels, and the unweighted penalty."""

    epoch: int
    loss: float
    alignment: float


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
    on_epoch: Callable[[AlignmentRow], None] | None = None,
) -> list[AlignmentRow]:
    """Trains the top on labelled items and, at the same time, to give new ones features like theirs.

    The loss is that of the labelled items and `weight` times how far the features below the head differ between a batch
    of them and one of new items. Without labels there is no early stopping: the last epoch's weights are kept.

    Args:
        model: a trained classifier. Trained in place.
        data: what it was trained on; `data.train` is used.
        target: items of the new domain; labels are not read.
        method: `"coral"`: means, and covariances relative to their size (after Sun & Saenko 2016,
            https://arxiv.org/abs/1607.01719); `"mmd"`: maximum mean discrepancy (Long et al. 2015,
            https://arxiv.org/abs/1502.02791); `"dann"`: a discriminator that the features are trained to deceive
            (Ganin et al. 2016, https://arxiv.org/abs/1505.07818).
        weight: of the alignment.
        stages: how many stages of the backbone train, from the top.
        epochs: passes over the labelled items.
        learning_rate: of Adam, falling along a cosine.
        batch_size: items of each domain in a step.
        seed: of orders, and of the discriminator's weights.
        on_epoch: called with each epoch's figures.

    Returns:
        One row for each epoch.

    Raises:
        InputError: an unknown method, or a side without items.
    """
    if method not in PENALTIES:
        raise InputError(f"`method` must be {', '.join(map(repr, PENALTIES))}. Received: method={method!r}.")
    if not len(target) or not len(data.train):
        raise InputError("Alignment needs labelled training items and some of the new domain.")
    keras.utils.set_random_seed(seed)
    rows: list[AlignmentRow] = []
    with ExitStack() as stack:
        top, ours, theirs = _halves(model, data, target, stages, stack)
        batch_size = min(batch_size, len(ours), len(theirs))
        steps = len(ours) // batch_size
        step = _step(top, PENALTIES[method], weight, learning_rate, steps * epochs, data.multi_label)
        batches = _batches(ours, batch_size, seed), _batches(theirs, batch_size, seed + 1)
        for epoch in range(epochs):
            loss, alignment = _train_epoch(step, *batches, range(epoch * steps, (epoch + 1) * steps), steps * epochs)
            rows.append({"epoch": epoch + 1, "loss": loss, "alignment": alignment})
            say(f"{method} {epoch + 1:>2}  loss {loss:.3f}  alignment {alignment:.3f}")
            if on_epoch is not None:
                on_epoch(rows[-1])
    return rows


def _halves(
    model: keras.Model, data: Dataset, target: Split, stages: int, stack: ExitStack
) -> tuple[keras.Model, Samples, Samples]:
    """The model from the frozen layers' outputs to features and logits; and what it takes of both domains' items."""
    freeze_backbone(model)
    features = boundary(model)
    unfreeze_top(model, stages=stages)
    tensor = frozen_boundary(model)
    top = suffix(model, tensor, output=[features, logits_of(model)])
    labels = loss_targets(data.train.labels, len(data.class_names), int(top.outputs[1].shape[-1]))
    samples = []
    for split, targets in ((data.train, labels), (target, np.zeros((len(target), 1), np.float32))):
        arrays, names, dtypes = suffix_arrays(model, tensor, split)
        stack.callback(arrays.close)
        samples.append(Samples(arrays, names, targets, dtypes=dtypes))
    return top, samples[0], samples[1]


def _step(
    top: keras.Model,
    penalty_of: Callable[[int], tuple[Penalty, Sequence[keras.Variable]]],
    weight: float,
    learning_rate: float,
    steps: int,
    multi_label: bool,
) -> Step:
    """A training step: from a batch with targets, a batch without and the penalty's strength to both losses."""
    import tensorflow as tf

    penalty, extra = penalty_of(int(top.outputs[0].shape[-1]))
    label_loss, _ = head_loss(top.outputs[1].shape[-1], multi_label=multi_label, from_logits=True)
    variables = top.trainable_variables
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
    optimizer.build(variables)
    # Ganin et al. give what is new ten times the rate of what is pretrained: a discriminator that lags behind misleads.
    faster = keras.optimizers.Adam(10 * learning_rate)
    faster.build(extra)

    @tf.function(jit_compile=False, reduce_retracing=True)
    def step(
        first: "tuple[tf.Tensor, ...]", targets: "tf.Tensor", second: "tuple[tf.Tensor, ...]", strength: "tf.Tensor"
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        both = [tf.concat(pair, axis=0) for pair in zip(first, second, strict=True)]
        with tf.GradientTape() as tape:
            # BatchNorm is frozen, so the two halves do not meet in it.
            features, logits = top(both if len(both) > 1 else both[0], training=True)
            size = tf.shape(targets)[0]
            loss = label_loss(targets, logits[:size])
            apart = penalty(features[:size], features[size:])
            total = loss + weight * strength * apart
        slopes = tape.gradient(total, [*variables, *extra])
        optimizer.apply(slopes[: len(variables)], variables)
        if extra:
            faster.apply(slopes[len(variables) :], extra)
        return loss, apart

    return lambda first, targets, second, strength: step(as_tuple(first), targets, as_tuple(second), strength)


def _train_epoch(
    step: Step,
    ours: "Iterator[tuple[Arrays, NDArray[np.float32]]]",
    theirs: "Iterator[tuple[Arrays, NDArray[np.float32]]]",
    numbers: range,
    total: int,
) -> list[float]:
    """One epoch's mean losses."""
    sums = np.zeros(2)
    for number in numbers:
        (first, targets), (second, _) = next(ours), next(theirs)
        # Ganin et al.'s schedule: the features settle before they are pushed.
        strength = 2 / (1 + np.exp(-10 * number / total)) - 1
        sums += [float(value) for value in step(first, targets, second, np.float32(strength))]
    means: list[float] = (sums / len(numbers)).tolist()
    return means


def _batches(samples: Samples, batch_size: int, seed: int) -> Iterator[tuple[Arrays, NDArray[np.float32]]]:
    """Whole batches only: a penalty between sets of changing size would change with it."""
    for inputs, labels, _ in map(samples.drawn(batch_size, seed, 0), count()):
        if len(labels) == batch_size:
            yield inputs, labels


def _coral(first: "tf.Tensor", second: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    def moments(rows: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        mean = tf.reduce_mean(rows, axis=0, keepdims=True)
        centred = rows - mean
        return mean, tf.matmul(centred, centred, transpose_a=True) / tf.cast(tf.shape(rows)[0] - 1, tf.float32)

    (mean, covariance), (other_mean, other_covariance) = moments(first), moments(second)
    # Relative to their sizes: one weight serves features of every scale, and nothing is gained by shrinking them all.
    size = tf.reduce_sum(covariance**2) + tf.reduce_sum(other_covariance**2) + 1e-9
    spread = tf.linalg.trace(covariance) + tf.linalg.trace(other_covariance) + 1e-9
    gap = tf.reduce_sum((mean - other_mean) ** 2) / spread
    return tf.reduce_sum((covariance - other_covariance) ** 2) / size + gap


def _mmd(first: "tf.Tensor", second: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    both = tf.concat([first, second], axis=0)
    norms = tf.reduce_sum(both**2, axis=1)
    squares = tf.maximum(norms[:, None] + norms[None] - 2 * tf.matmul(both, both, transpose_b=True), 0.0)
    width = tf.stop_gradient(tf.reduce_mean(squares)) + 1e-9
    kernel = tf.add_n([tf.exp(-squares / (width * scale)) for scale in (0.25, 0.5, 1.0, 2.0, 4.0)]) / 5.0
    count = tf.shape(first)[0]
    inner = tf.reduce_mean(kernel[:count, :count]) + tf.reduce_mean(kernel[count:, count:])
    return inner - 2 * tf.reduce_mean(kernel[:count, count:])


def _dann(first: "tf.Tensor", second: "tf.Tensor", discriminator: keras.Model) -> "tf.Tensor":
    import tensorflow as tf

    @tf.custom_gradient
    def reverse(rows: "tf.Tensor") -> tuple["tf.Tensor", Callable[["tf.Tensor"], "tf.Tensor"]]:
        return tf.identity(rows), lambda slope: -slope

    scores = discriminator(reverse(tf.concat([first, second], axis=0)), training=True)
    truth = tf.concat([tf.zeros_like(scores[: tf.shape(first)[0]]), tf.ones_like(scores[tf.shape(first)[0] :])], axis=0)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, scores))


def _with_discriminator(width: int) -> tuple[Penalty, Sequence[keras.Variable]]:
    # Normalized first: the features could deceive it without end by growing.
    layers = [keras.layers.LayerNormalization(), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(1)]
    discriminator = keras.Sequential([keras.Input((width,)), *layers])
    return partial(_dann, discriminator=discriminator), discriminator.trainable_variables


PENALTIES: dict[str, Callable[[int], tuple[Penalty, Sequence[keras.Variable]]]] = {
    "coral": lambda width: (_coral, []),
    "mmd": lambda width: (_mmd, []),
    "dann": _with_discriminator,
}
"""For each method, from the number of features: the penalty of two batches of them, and its own variables."""
