"""Knowledge distillation: a student learns from a teacher's predictions for every view of every item."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.cache import Arrays
from keras_transfer.compression.retrain import EVALUATION_BATCH, OnEpoch, Training, cosine_adam, fit_epochs
from keras_transfer.compression.teacher import (
    INPUTS,
    Teacher,
    label_table,
    open_teacher,
    pooled_features,
    score_table,
    teach,
)  # fmt: skip
from keras_transfer.data import Dataset
from keras_transfer.data.stored import item_bytes
from keras_transfer.errors import InputError
from keras_transfer.inputs import Augmenter, Strength
from keras_transfer.models.graph import input_tensor, model_inputs
from keras_transfer.schemas import HistoryRow
from keras_transfer.training.feed import Samples, as_dataset

if TYPE_CHECKING:
    import tensorflow as tf

MIXED: Strength = {"strength": "auto", "mixup": 1.0}
_VIEW_BYTES = 2 * 2**30  # the most that the views of all training items may take on disk


def distill(
    student: keras.Model,
    teacher: keras.Model | str | Path,
    data: Dataset,
    *,
    temperature: float = 2.0,
    alpha: float = 0.9,
    features: float = 0.0,
    epochs: int = 100,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    warmup: float = 0.1,
    augmentation: Strength = MIXED,
    views: int | None = None,
    batchnorm: bool = False,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> list[HistoryRow]:
    """Trains `student` to answer as `teacher` does, and leaves it with the weights of its best epoch on validation.

    The loss is that of Hinton et al. 2015 (https://arxiv.org/abs/1503.02531): `alpha` times the divergence of the
    tempered probabilities, times the square of the temperature, plus `1 - alpha` times the cross-entropy with the
    labels, unweighted. The teacher's predictions are computed once for each augmented view of each item, which both
    sides see alike, and cached. By default two items are blended in each view (MixUp) and training is long (Beyer et
    al. 2022, https://arxiv.org/abs/2106.05237): of items that it was trained on a teacher is too sure to add anything.

    Args:
        student: a classifier with one input that gives probabilities. What is trainable in it is trained, in place.
        teacher: a classifier of the same classes: a model (of the same order), a `.keras` or `.tflite` file, or a run
            directory. Of any input size, and left as it is.
        data: training items train, validation items choose the epoch, test items are not read.
        temperature: by which both sides' logits are divided, above 0.
        alpha: weight of the teacher against the labels, above 0 and at most 1.
        features: weight of a hint, 0 for none: the student's pooled features, through a linear layer, shall be those
            of the teacher, a Keras model (Romero et al. 2015, https://arxiv.org/abs/1412.6550).
        epochs, learning_rate, batch_size: passes over the training items, Adam's highest rate, items per step.
        warmup: share of the steps over which the rate climbs; then it falls by a cosine to zero.
        augmentation, seed: see `keras_transfer.fit`.
        on_epoch: called with each epoch's figures.
        views: views per item; None: one for each epoch, up to 16, as far as 2 GiB of disk allow.
        batchnorm: whether BatchNormalization layers train too and move their statistics.

    Returns:
        The figures of each epoch; losses are the whole of the above.

    Raises:
        InputError: an argument is out of range, teacher and student answer differently, or the loss is not a number.
    """
    _check(temperature, alpha, features)
    training = Training(epochs, learning_rate, batch_size, augmentation, seed, on_epoch, "Distilling", warmup)
    opened = open_teacher(teacher, data.class_names, bool(features))
    _set_batchnorm(student, batchnorm)
    keras.utils.set_random_seed(seed)
    distiller = _distiller(student, opened, temperature, alpha, features)
    return _distill(distiller, student, opened, data, training, views)


def _distill(
    distiller: keras.distillation.Distiller,
    student: keras.Model,
    teacher: Teacher,
    data: Dataset,
    training: Training,
    views: int | None,
) -> list[HistoryRow]:
    augmenter = data.train.augmenter(training.augmentation)
    if views is None or not augmenter:
        views = choose_views(augmenter, training.epochs, student, data)
    with _samples(student, teacher, data, augmenter, views, training.seed) as (train, val):
        steps = train.steps(training.batch_size)
        _compile(distiller, teacher.groups, training, steps)
        unpack = partial(_unpack, groups=teacher.groups)
        return fit_epochs(
            distiller,
            lambda epoch: unpack(as_dataset(train.drawn(training.batch_size, training.seed, epoch), train)),
            unpack(as_dataset(val.in_order(EVALUATION_BATCH), val, val.steps(EVALUATION_BATCH))),
            steps,
            training,
            network=student,
        )


def _compile(distiller: keras.distillation.Distiller, groups: tuple[int, int], training: Training, steps: int) -> None:
    def loss(labels: "tf.Tensor", made: "tf.Tensor") -> "tf.Tensor":
        return keras.losses.categorical_crossentropy(labels, _scores(made, groups), from_logits=True)

    def accuracy(labels: "tf.Tensor", made: "tf.Tensor") -> "tf.Tensor":
        return keras.metrics.categorical_accuracy(labels, _scores(made, groups))

    metric = keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")
    distiller.compile(cosine_adam(training, steps), loss=loss, metrics=[metric], jit_compile=False)


def _set_batchnorm(model: keras.Model, trains: bool) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = trains


def _check(temperature: float, alpha: float, features: float) -> None:
    if not temperature > 0:
        raise InputError(f"`temperature` must be above 0. Received: temperature={temperature}.")
    if not 0 < alpha <= 1:
        raise InputError(f"`alpha` must be above 0 and at most 1. Received: alpha={alpha}.")
    if not features >= 0:
        raise InputError(f"`features` must be 0 or more. Received: features={features}.")


def choose_views(augmenter: Augmenter, epochs: int, student: keras.Model, data: Dataset) -> int:
    """Views per training item: one for each epoch is as good as fresh ones, as far as the disk allows."""
    if not augmenter:
        return 1
    epoch_bytes = len(data.train) * item_bytes(data.train.spec(model_inputs(student)))
    return int(np.clip(_VIEW_BYTES // epoch_bytes, 2, np.clip(epochs, 2, 16)))


def _distiller(
    student: keras.Model, teacher: Teacher, temperature: float, alpha: float, features: float
) -> keras.distillation.Distiller:
    """Keras's `Distiller` on (item, the teacher's answer): the model in its teacher's place repeats that answer."""
    table = score_table(student)
    if tuple(table.shape[1:]) != teacher.groups:
        raise InputError(
            f"Teacher and student must classify into the same classes. Their scores are {teacher.groups} and "
            f"{tuple(table.shape[1:])} (questions, choices)."
        )
    flat = math.prod(teacher.groups)
    item, answer = input_tensor(student), keras.Input((flat + teacher.width,), name="distillation_answer")
    made = keras.ops.reshape(table, (-1, flat))
    # The loss as an object: by its name, Keras 3.15 takes the divergence of the logits as they are, without a softmax.
    divergence = keras.distillation.LogitsDistillation(temperature, keras.losses.KLDivergence())
    losses = [_Part(divergence, partial(_scores, groups=teacher.groups))]
    if features:
        hint = keras.layers.Dense(teacher.width, name="distillation_regressor")(pooled_features(student))
        made = keras.ops.concatenate([made, hint], axis=-1)
        losses.append(_Part(keras.distillation.FeatureDistillation("mse"), lambda answer: answer[:, flat:]))
    return keras.distillation.Distiller(
        keras.Model([item, answer], answer),
        keras.Model([item, answer], made),
        losses,
        [1.0, features][: len(losses)],
        student_loss_weight=1 - alpha,
    )


class _Part(keras.distillation.DistillationLoss):
    """One of Keras's losses on a part of the answers.

    Scores and hints come side by side in one tensor: for several outputs, or layers by name, `Distiller` would run the
    student twice a step.
    """

    def __init__(self, loss: keras.distillation.DistillationLoss, part: "Callable[[tf.Tensor], tf.Tensor]") -> None:
        self.loss, self.part = loss, part

    def compute_loss(self, teacher_outputs: "tf.Tensor", student_outputs: "tf.Tensor", **kwargs: object) -> "tf.Tensor":
        return self.loss.compute_loss(self.part(teacher_outputs), self.part(student_outputs), **kwargs)


def _scores(answer: "tf.Tensor", groups: tuple[int, int]) -> "tf.Tensor":
    return keras.ops.reshape(answer[:, : math.prod(groups)], (-1, *groups))


@contextmanager
def _samples(
    student: keras.Model, teacher: Teacher, data: Dataset, augmenter: Augmenter, views: int, seed: int
) -> Iterator[tuple[Samples, Samples]]:
    """Items as inputs; the labels, the teacher's scores and its hints side by side as labels."""
    inputs = model_inputs(student)
    train = teach(teacher, inputs, data.train, augmenter=augmenter, views=views, seed=seed)
    val = teach(teacher, inputs, data.val, augmenter=augmenter)
    samples = []
    for arrays, split, count in ((train, data.train, views), (val, data.val, 1)):
        labels = np.asarray(arrays["labels"]) if "labels" in arrays else np.repeat(split.labels, count, axis=0)
        columns = [label_table(labels, teacher.groups), arrays["scores"]]
        columns += [_standard(train, arrays)] if teacher.width else []
        rows = np.concatenate([np.reshape(part, (len(part), -1)) for part in columns], axis=1, dtype=np.float32)
        samples.append(Samples(arrays, (INPUTS,), rows, count))
    try:
        yield samples[0], samples[1]
    finally:
        train.close()
        val.close()


def _standard(train: Arrays, arrays: Arrays) -> NDArray[np.float32]:
    """Hints with mean 0 and deviation 1 over the training items: their weight then means the same for any teacher."""
    reference = np.asarray(train["hints"], np.float32)
    hints = np.asarray(arrays["hints"], np.float32)
    return np.asarray((hints - reference.mean(0)) / (reference.std(0) + 1e-3))


def _unpack(dataset: "tf.data.Dataset", groups: tuple[int, int]) -> "tf.data.Dataset":
    """(items, rows, weights) as ((items, the teacher's answers), labels) for the distiller."""
    flat = math.prod(groups)

    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def unpack(items: tf.Tensor, rows: tf.Tensor, _: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        return (items, rows[:, flat:]), keras.ops.reshape(rows[:, :flat], (-1, *groups))

    return dataset.map(unpack)
