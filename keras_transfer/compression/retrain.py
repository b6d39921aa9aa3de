"""The short training in which a compressed model regains its accuracy."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import keras
import numpy as np

from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength
from keras_transfer.models.head import head_loss
from keras_transfer.progress import track
from keras_transfer.schemas import HistoryRow
from keras_transfer.training import feature_samples, input_samples
from keras_transfer.training.feed import Samples, as_dataset

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

    # The same calls serve Keras 3 models and `tf_keras` ones, on which tensorflow-model-optimization works.
    Model: TypeAlias = keras.Model | tf_keras.Model
    Callback: TypeAlias = keras.callbacks.Callback | tf_keras.callbacks.Callback

EVALUATION_BATCH = 64


OnEpoch: TypeAlias = Callable[[HistoryRow], object]
_FIGURES: tuple[Literal["loss", "accuracy", "val_loss", "val_accuracy"], ...] = (
    "loss", "accuracy", "val_loss", "val_accuracy",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """How a short training runs.

    Attributes:
        epochs: passes over the training items.
        learning_rate: Adam's highest; it climbs over `warmup` and falls by a cosine to zero (Loshchilov & Hutter 2017,
            https://arxiv.org/abs/1608.03983).
        batch_size: items per step.
        augmentation: the strength, see `keras_transfer.build_augmenter`.
        seed: of orders and augmentation.
        on_epoch: called with each epoch's figures.
        label: the title of the progress bar.
        warmup: share of the steps over which the rate climbs.
        from_epoch: epochs before this one cannot be the best: sparsity is still growing in them, say.
        keep_start: whether the weights before training are tried too, as epoch 0, and kept where no epoch is better.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 32
    augmentation: Strength = "auto"
    seed: int = 0
    on_epoch: OnEpoch | None = None
    label: str = "Retraining"
    warmup: float = 0.1
    from_epoch: int = 0
    keep_start: bool = False


def retrain(
    model: "Model",
    data: Dataset,
    training: Training,
    *,
    below: keras.Model | None = None,
    samples: AbstractContextManager[tuple[Samples, Samples]] | None = None,
    callbacks: "Sequence[Callback]" = (),
) -> list[HistoryRow]:
    """Trains what is trainable in `model` by an ordinary `fit`, and leaves it with the weights of its best epoch.

    Args:
        model: a classifier that gives probabilities, `keras.Model` or `tf_keras.Model`.
        data: training items train, validation items choose the epoch, test items are not read.
        training: how.
        below: the frozen network whose output `model` takes in place of items; it is computed once for every item and
            a few augmented views of each, from which the epochs then draw.
        samples: what to train and to validate on in place of the data's items and labels.
        callbacks: the technique's own.

    Returns:
        The figures of each epoch.

    Raises:
        InputError: the loss is not a number.
    """
    augmenter = data.train.augmenter(training.augmentation)
    if samples is None and below is None:
        samples = input_samples(model, data, augmenter)
    elif samples is None:
        samples = feature_samples(below, model, data, augmenter, training.seed)
    with samples as (train, val):
        steps = train.steps(training.batch_size)
        _compile(model, training, steps, data.multi_label)
        return fit_epochs(
            model,
            lambda epoch: as_dataset(train.drawn(training.batch_size, training.seed, epoch), train),
            as_dataset(val.in_order(EVALUATION_BATCH), val, val.steps(EVALUATION_BATCH)),
            steps,
            training,
            callbacks=callbacks,
        )


def fit_epochs(
    model: "Model",
    batches: "Callable[[int], tf.data.Dataset]",
    held_out: "tf.data.Dataset",
    steps: int,
    training: Training,
    *,
    network: "Model | None" = None,
    callbacks: "Sequence[Callback]" = (),
) -> list[HistoryRow]:
    """Fits a compiled model epoch by epoch and leaves it with the weights of its best one.

    Args:
        model: compiled, with a metric `accuracy`.
        batches: the training batches of an epoch, by its number from 0.
        held_out: the validation batches.
        steps: batches per epoch.
        training: how.
        network: the part of `model` that gets the weights of its best epoch; all of it unless given.
        callbacks: the technique's own.

    Returns:
        The figures of each epoch.

    Raises:
        InputError: the loss is not a number.
    """
    network = model if network is None else network
    rows: list[HistoryRow] = []
    best = None
    if training.keep_start:
        rows.append(_evaluate(model, held_out))
        _report(rows[0], training)
        best = _score(rows[0]), network.get_weights()
    for epoch in track(range(training.epochs), training.label):
        row = _fit_epoch(model, batches(epoch), held_out, epoch, steps, callbacks)
        rows.append(row)
        _report(row, training)
        settled = epoch >= min(training.from_epoch, training.epochs - 1)
        if settled and (best is None or _score(row) > best[0]):
            best = _score(row), network.get_weights()
    assert best is not None
    network.set_weights(best[1])
    return rows


def _score(row: HistoryRow) -> tuple[float, float]:
    """The higher, the better."""
    return row["val_accuracy"], -row.get("val_loss", 0.0)


def _report(row: HistoryRow, training: Training) -> None:
    if training.on_epoch is not None:
        training.on_epoch(row)


def _evaluate(model: "Model", held_out: "tf.data.Dataset") -> HistoryRow:
    started = time.perf_counter()
    figures = model.evaluate(held_out, verbose=0, return_dict=True)
    seconds = round(time.perf_counter() - started, 3)
    return HistoryRow(
        epoch=0, seconds=seconds, val_loss=float(figures["loss"]), val_accuracy=float(figures["accuracy"])
    )


def _fit_epoch(
    model: "Model",
    batches: "tf.data.Dataset",
    held_out: "tf.data.Dataset",
    epoch: int,
    steps: int,
    callbacks: "Sequence[Callback]",
) -> HistoryRow:
    """One epoch in a `fit` of its own: it has its own order of items, and the best weights are kept after it."""
    started = time.perf_counter()
    figures = model.fit(
        batches,
        validation_data=held_out,
        steps_per_epoch=steps,
        initial_epoch=epoch,
        epochs=epoch + 1,
        callbacks=list(callbacks),
        shuffle=False,  # the batches come in an order of their own
        verbose=0,
    ).history
    seconds = round(time.perf_counter() - started, 3)
    row = HistoryRow(epoch=epoch + 1, seconds=seconds, val_accuracy=float(figures["val_accuracy"][-1]))
    for name in _FIGURES:
        if name in figures:
            row[name] = float(figures[name][-1])
    if not np.isfinite(row["loss"]):
        raise InputError(f"The loss is {row['loss']} in epoch {epoch + 1}: lower `learning_rate`.")
    return row


def _compile(model: "Model", training: Training, steps: int, multi_label: bool) -> None:
    library = keras if isinstance(model, keras.Model) else import_module("tf_keras")
    loss, accuracy = head_loss(model.output_shape[-1], multi_label=multi_label, library=library)
    model.compile(
        cosine_adam(training, steps, library),
        loss=loss,
        metrics=[accuracy],
        weighted_metrics=[],
        jit_compile=False,
    )


def cosine_adam(
    training: Training, steps: int, library: ModuleType = keras
) -> "keras.optimizers.Adam | tf_keras.optimizers.Adam":
    """Adam whose rate climbs over a share of the steps and falls by a cosine to zero.

    Args:
        training: its rate, warm-up and epochs.
        steps: batches per epoch.
        library: `keras` or `tf_keras`.

    Returns:
        The library's optimizer.
    """
    climbing = int(training.warmup * steps * training.epochs)
    return library.optimizers.Adam(
        library.optimizers.schedules.CosineDecay(
            training.learning_rate / 25 if climbing else training.learning_rate,
            max(1, steps * training.epochs - climbing),
            warmup_target=training.learning_rate if climbing else None,
            warmup_steps=climbing,
        )
    )
