"""Knowledge distillation: a student learns from what a teacher says of every view of every image."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.compression.retrain import EVALUATION_BATCH, cosine_adam, fit_epochs
from keras_transfer.compression.teacher import Teacher, label_table, open_teacher, pooled_features, score_table, teach
from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Augmenter, Strength
from keras_transfer.models.graph import model_inputs
from keras_transfer.training.feed import Samples, as_dataset

MIXED: Strength = {"strength": "auto", "mixup": 1.0}
_VIEW_BYTES = 2 * 2**30  # the most that the views of all training images may take on disk


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
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Trains `student` to answer as `teacher` does, and leaves it with the weights of its best epoch on validation.

    The loss is that of Hinton et al. 2015 (https://arxiv.org/abs/1503.02531), by `keras.distillation.Distiller`:
    `alpha` times the divergence of the tempered probabilities, times the square of the temperature, plus `1 - alpha`
    times the cross-entropy with the labels. The teacher is frozen, so what it says is computed once, for a number of
    augmented views of each image, and kept in the array cache: an epoch costs no more than one without a teacher. Both
    see the same view (Beyer et al. 2022, https://arxiv.org/abs/2106.05237), drawn at the larger of their sizes and made
    smaller for the other by an antialiased bilinear resize. By default, and after the same paper, two photographs are
    blended in each view (MixUp) and training is long: a teacher is sure of the photographs that it was trained on and
    has nothing to add to their labels, while of blends it has much to say. The class weights of `fit` do
    not apply: `Distiller` has none.

    Args:
        student: a classifier on pixels `[batch, H, W, 3]` in 0..255 that gives probabilities. What is trainable in it
            is trained, in place; it keeps its own input size.
        teacher: a classifier of the same classes in the same order: a model, or a `.keras` file, `.tflite` file or
            run directory. Of any input size, and left as it is.
        data: from `load_images`; training images train, validation images choose the epoch, test images are not read.
        temperature: by which both sides' logits are divided, above 0.
        alpha: weight of the teacher against the labels, above 0 and at most 1.
        features: weight of the hint beside it, 0 for none: the student's pooled features, through a linear layer that
            is dropped afterwards, shall be the teacher's (Romero et al. 2015, https://arxiv.org/abs/1412.6550). The
            teacher must be a Keras model.
        epochs: passes over the training images.
        learning_rate: Adam's highest; it climbs over `warmup` and falls by a cosine to zero.
        batch_size: images a step.
        warmup: share of the steps over which the rate climbs.
        augmentation: see `keras_transfer.build_augmenter`; the strength that fits the number of images, and
            MixUp, unless another is given.
        views: views an image that are computed; None chooses: one an epoch, up to 16, as far as 2 GiB of disk allow.
        batchnorm: whether BatchNormalization layers train too and move their statistics.
        seed: of views and orders.
        on_epoch: called with each epoch's row.

    Returns:
        One row an epoch, as `retrain`; losses are the whole of the above.

    Raises:
        InputError: an argument is out of range, teacher and student answer differently, or the loss is not a number.
    """
    _check(temperature, alpha, features)
    augmenter = data.train.augmenter(augmentation)
    taught = open_teacher(teacher, data.class_names, bool(features))
    for layer in student._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = batchnorm
    keras.utils.set_random_seed(seed)
    distiller = _distiller(student, taught, temperature, alpha, features)
    if views is None or not augmenter:
        views = choose_views(augmenter, epochs, len(data.train) * int(np.prod(student.input_shape[1:])))
    with _samples(student, taught, data, augmenter, views, seed) as (train, val):
        steps = train.steps(batch_size)
        scores = partial(_scores, groups=taught.groups)
        distiller.compile(
            cosine_adam(learning_rate, warmup, steps * epochs),
            loss=lambda labels, made: keras.losses.categorical_crossentropy(labels, scores(made), from_logits=True),
            metrics=[
                keras.metrics.MeanMetricWrapper(
                    lambda labels, made: keras.metrics.categorical_accuracy(labels, scores(made)), name="accuracy"
                )
            ],
            jit_compile=False,
        )
        unpack = partial(_unpack, groups=taught.groups)
        return fit_epochs(
            distiller,
            lambda epoch: unpack(as_dataset(train.drawn(batch_size, seed, epoch), train)),
            unpack(as_dataset(val.in_order(EVALUATION_BATCH), val, val.steps(EVALUATION_BATCH))),
            steps=steps,
            epochs=epochs,
            network=student,
            label="Distilling",
            on_epoch=on_epoch,
        )


def _check(temperature: float, alpha: float, features: float) -> None:
    if not temperature > 0:
        raise InputError(f"`temperature` must be above 0. Received: temperature={temperature}.")
    if not 0 < alpha <= 1:
        raise InputError(f"`alpha` must be above 0 and at most 1. Received: alpha={alpha}.")
    if not features >= 0:
        raise InputError(f"`features` must be 0 or more. Received: features={features}.")


def choose_views(augmenter: Augmenter, epochs: int, epoch_bytes: int) -> int:
    """A view for each epoch is as good as fresh ones."""
    return int(np.clip(_VIEW_BYTES // epoch_bytes, 2, np.clip(epochs, 2, 16))) if augmenter else 1


def _distiller(student: keras.Model, teacher: Teacher, temperature: float, alpha: float, features: float) -> Any:
    """Keras's `Distiller` on (pixels, what the teacher said of them): the model in its teacher's place repeats that."""
    table = score_table(student)
    if tuple(table.shape[1:]) != teacher.groups:
        raise InputError(
            f"Teacher and student must classify into the same classes. Their scores are {teacher.groups} and "
            f"{tuple(table.shape[1:])} (questions, choices)."
        )
    flat = math.prod(teacher.groups)
    pixels, said = student.inputs[0], keras.Input((flat + teacher.width,), name="distillation_said")
    made = keras.ops.reshape(table, (-1, flat))
    scores = partial(_scores, groups=teacher.groups)
    # The loss as an object: by its name, Keras 3.15 takes the divergence of the logits as they are, without a softmax.
    divergence = keras.distillation.LogitsDistillation(temperature, keras.losses.KLDivergence())
    losses = [_Part(divergence, scores)]
    if features:
        hint = keras.layers.Dense(teacher.width, name="distillation_regressor")(pooled_features(student))
        made = keras.ops.concatenate([made, hint], axis=-1)
        losses.append(_Part(keras.distillation.FeatureDistillation("mse"), lambda answer: answer[:, flat:]))
    return keras.distillation.Distiller(
        keras.Model([pixels, said], said),
        keras.Model([pixels, said], made),
        losses,
        [1.0, features][: len(losses)],
        student_loss_weight=1 - alpha,
    )


class _Part(keras.distillation.DistillationLoss):
    """One of Keras's losses on a part of the answers.

    Scores and hints come side by side in one tensor: for several outputs, or layers by name, `Distiller` would run the
    student twice a step.
    """

    def __init__(self, loss: Any, part: Callable[[Any], Any]) -> None:
        self.loss, self.part = loss, part

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        return self.loss.compute_loss(self.part(teacher_outputs), self.part(student_outputs), **kwargs)


def _scores(answer: Any, groups: tuple[int, int]) -> Any:
    return keras.ops.reshape(answer[:, : math.prod(groups)], (-1, *groups))


@contextmanager
def _samples(
    student: keras.Model, teacher: Teacher, data: Dataset, augmenter: Augmenter, views: int, seed: int
) -> Iterator[tuple[Samples, Samples]]:
    """Pixels as inputs; the labels, the teacher's scores and its hints side by side as labels."""
    size = model_inputs(student)
    train = teach(teacher, size, data.train, augmenter=augmenter, views=views, seed=seed)
    val = teach(teacher, size, data.val, augmenter=augmenter)
    found = []
    for arrays, split, count in ((train, data.train, views), (val, data.val, 1)):
        labels = np.asarray(arrays["labels"]) if "labels" in arrays else np.repeat(split.labels, count, axis=0)
        columns = [label_table(labels, teacher.groups), arrays["scores"]]
        columns += [_standard(train, arrays)] if teacher.width else []
        rows = np.concatenate([np.reshape(part, (len(part), -1)) for part in columns], axis=1, dtype=np.float32)
        found.append(Samples(arrays, ("pixels",), rows, count))
    try:
        yield found[0], found[1]
    finally:
        train.close()
        val.close()


def _standard(train: Any, arrays: Any) -> np.ndarray:
    """Hints with mean 0 and deviation 1 over the training images: their weight then means the same for any teacher."""
    known = np.asarray(train["hints"], np.float32)
    return (np.asarray(arrays["hints"], np.float32) - known.mean(0)) / (known.std(0) + 1e-3)


def _unpack(dataset: Any, groups: tuple[int, int]) -> Any:
    """(pixels, rows, weights) as ((pixels, what the teacher said), labels) for the distiller."""
    flat = math.prod(groups)

    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def unpack(pixels: Any, rows: Any, _: Any) -> Any:
        return (pixels, rows[:, flat:]), keras.ops.reshape(rows[:, :flat], (-1, *groups))

    return dataset.map(unpack)
