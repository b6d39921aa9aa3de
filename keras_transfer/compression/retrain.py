"""The short training in which a compressed model regains its accuracy."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import keras
import numpy as np

from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength
from keras_transfer.progress import track
from keras_transfer.training import feature_samples, input_samples
from keras_transfer.training.feed import Samples, as_dataset

EVALUATION_BATCH = 64
_FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


def retrain(
    model: Any,
    data: Dataset,
    *,
    below: keras.Model | None = None,
    samples: AbstractContextManager[tuple[Samples, Samples]] | None = None,
    epochs: int,
    learning_rate: float,
    batch_size: int = 32,
    warmup: float = 0.1,
    augmentation: Strength = "auto",
    seed: int = 0,
    settled: int = 0,
    callbacks: Sequence[Any] = (),
    loss: Any = None,
    label: str = "Retraining",
    start: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Trains what is trainable in `model` by an ordinary `fit`, and leaves it with the weights of its best epoch.

    The same call serves Keras 3 models and `tf_keras` ones, which is where tensorflow-model-optimization works.
    Rates climb over `warmup` and fall by a cosine to zero (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983).

    Args:
        model: a classifier on pixels `[batch, H, W, 3]` in 0..255 that gives probabilities; `keras.Model` or
            `tf_keras.Model`, or something with the same `compile` and `fit` (a `keras.distillation.Distiller`).
        data: from `load_images`; training images train, validation images choose the epoch, test images are not read.
        below: the frozen network whose output `model` takes in place of pixels; it is computed once for every image and
            a few augmented views of each, from which the epochs then draw.
        samples: what to train and to validate on in place of the data's pixels and labels.
        epochs: passes over the training images.
        learning_rate: Adam's highest.
        batch_size: images a step.
        warmup: share of the steps over which the rate climbs.
        augmentation: see `keras_transfer.build_augmenter`.
        seed: of orders and augmentation.
        settled: epochs at the start that cannot be the best: sparsity is still growing in them, say.
        callbacks: the technique's own.
        loss: for `compile`, in place of the cross-entropy of the model's kind of output. A `Distiller` is compiled by
            its caller instead, and only its student is changed.
        label: what the progress bar says.
        start: whether the weights given are tried too, as epoch 0, and kept where no epoch is better.
        on_epoch: called with each epoch's row.

    Returns:
        One row an epoch: `epoch`, `seconds`, `loss`, `accuracy`, `val_loss`, `val_accuracy`; a figure that the model
        does not give is missing.

    Raises:
        InputError: the loss is not a number.
    """
    augmenter = data.train.augmenter(augmentation)
    network = model.student if _is_distiller(model) else model
    if samples is None and below is None:
        samples = input_samples(network, data, augmenter)
    elif samples is None:
        samples = feature_samples(below, network, data, augmenter, seed)
    with samples as (train, val):
        steps = train.steps(batch_size)
        if network is model:
            _compile(model, loss or _loss_name(model, data), learning_rate, warmup, steps * epochs)
        return fit_epochs(
            model,
            lambda epoch: as_dataset(train.drawn(batch_size, seed, epoch), train),
            as_dataset(val.in_order(EVALUATION_BATCH), val, val.steps(EVALUATION_BATCH)),
            steps=steps,
            epochs=epochs,
            network=network,
            settled=settled,
            callbacks=callbacks,
            label=label,
            start=start,
            on_epoch=on_epoch,
        )


def fit_epochs(
    model: Any,
    batches: Callable[[int], Any],
    held_out: Any,
    *,
    steps: int,
    epochs: int,
    network: Any = None,
    settled: int = 0,
    callbacks: Sequence[Any] = (),
    label: str = "Retraining",
    start: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Fits a compiled model epoch by epoch and leaves it with the weights of its best one.

    Args:
        model: compiled, with a metric `accuracy`.
        batches: the training batches of an epoch, by its number from 0, as a `tf.data.Dataset`.
        held_out: the validation batches.
        steps: batches an epoch.
        epochs: how many.
        network: what of `model` is kept and given back at its best; all of it unless given.
        settled: as for `retrain`.
        callbacks: as for `retrain`.
        label: as for `retrain`.
        start: as for `retrain`.
        on_epoch: as for `retrain`.

    Returns:
        As `retrain`.

    Raises:
        InputError: the loss is not a number.
    """
    network = model if network is None else network
    rows: list[dict[str, Any]] = []
    best = None
    if start:
        began = time.perf_counter()
        found = model.evaluate(held_out, verbose=0, return_dict=True)
        rows.append({"epoch": 0, "seconds": round(time.perf_counter() - began, 3)})
        rows[0] |= {f"val_{name}": float(found[name]) for name in ("loss", "accuracy")}
        best = (rows[0]["val_accuracy"], -rows[0]["val_loss"]), network.get_weights()
        if on_epoch is not None:
            on_epoch(rows[0])
    for epoch in track(range(epochs), label):
        # One fit an epoch: each starts its own order of images, and between two of them the best weights are kept.
        started = time.perf_counter()
        figures = model.fit(
            batches(epoch),
            validation_data=held_out,
            steps_per_epoch=steps,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=list(callbacks),
            shuffle=False,  # the batches come in an order of their own
            verbose=0,
        ).history
        row: dict[str, Any] = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - started, 3)}
        row |= {name: float(figures[name][-1]) for name in _FIGURES if name in figures}
        if not np.isfinite(row["loss"]):
            raise InputError(f"The loss is {row['loss']} in epoch {epoch + 1}: lower `learning_rate`.")
        rows.append(row)
        if on_epoch is not None:
            on_epoch(row)
        score = row["val_accuracy"], -row.get("val_loss", 0.0)
        if epoch >= min(settled, epochs - 1) and (best is None or score > best[0]):
            best = score, network.get_weights()
    assert best is not None
    network.set_weights(best[1])
    return rows


def _is_distiller(model: Any) -> bool:
    return isinstance(model, keras.distillation.Distiller)


def _loss_name(model: Any, data: Dataset) -> str:
    return "binary_crossentropy" if data.multi_label or model.output_shape[-1] == 1 else "categorical_crossentropy"


def _compile(model: Any, loss: Any, learning_rate: float, warmup: float, steps: int) -> None:
    library: Any = keras
    if not isinstance(model, keras.Model):
        library = import_module("tf_keras")
    kind = library.metrics.BinaryAccuracy if loss == "binary_crossentropy" else library.metrics.CategoricalAccuracy
    metrics = [kind(name="accuracy")]
    optimizer = cosine_adam(learning_rate, warmup, steps, library)
    model.compile(optimizer, loss=loss, metrics=metrics, weighted_metrics=[], jit_compile=False)


def cosine_adam(learning_rate: float, warmup: float, steps: int, library: Any = keras) -> Any:
    """Adam whose rate climbs over a share of the steps and falls by a cosine to zero.

    Args:
        learning_rate: the highest.
        warmup: the share over which it climbs.
        steps: in all.
        library: `keras` or `tf_keras`.

    Returns:
        The library's optimizer.
    """
    climbing = int(warmup * steps)
    return library.optimizers.Adam(
        library.optimizers.schedules.CosineDecay(
            learning_rate / 25 if climbing else learning_rate,
            max(1, steps - climbing),
            warmup_target=learning_rate if climbing else None,
            warmup_steps=climbing,
        )
    )
