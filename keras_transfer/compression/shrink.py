"""Structured pruning as a whole: channels removed, statistics computed again, accuracy regained by distillation."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

import keras
import numpy as np

from keras_transfer.compression.channels import remove_channels
from keras_transfer.compression.distill import distill
from keras_transfer.compression.retrain import OnEpoch, Training, retrain
from keras_transfer.data import Dataset, Split
from keras_transfer.inputs import Augmenter, Strength, only
from keras_transfer.models.graph import model_inputs
from keras_transfer.progress import track
from keras_transfer.training.phases import quicken_batchnorm

_BATCH = 32
_BATCHES = 40  # at momentum 0.9 the old statistics are below 2% then


class DistillOptions(TypedDict, total=False):
    """Arguments of `distill` that `shrink` passes on."""

    temperature: float
    alpha: float
    features: float
    warmup: float
    views: int | None
    batchnorm: bool


def shrink(
    model: keras.Model,
    data: Dataset,
    *,
    multiply_adds: float | Mapping[str, float] = 0.6,
    teacher: keras.Model | str | Path | None = None,
    epochs: int = 10,
    learning_rate: float = 3e-4,
    batch_size: int = 32,
    augmentation: Strength = "auto",
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    **options: Unpack[DistillOptions],
) -> keras.Model:
    """Makes a classifier smaller by removing whole channels, and trains what is left.

    Args:
        model: a classifier as for `remove_channels`; it stays as it is.
        data: training items say which channels matter and train, validation items choose the epoch, test items are
            not read.
        multiply_adds: share to keep, in all or by stage; see `remove_channels`.
        teacher: what the smaller model learns from by `distill`: best `model` itself; None trains on the labels alone.
        epochs, learning_rate, batch_size: passes over the training items, Adam's highest rate, items per step.
        augmentation, seed: see `keras_transfer.fit`.
        on_epoch: called with each epoch's figures.
        **options: further arguments of `distill`, where there is a teacher.

    Returns:
        The smaller model, with the weights of its best epoch; BatchNormalization layers are frozen in it.

    Raises:
        InputError: see `remove_channels` and `distill`.
    """
    small = remove_channels(model, data.train, multiply_adds=multiply_adds, seed=seed)
    recalibrate(small, data.train, data.train.augmenter(augmentation), seed=seed)
    if teacher is None:
        retrain(small, data, Training(epochs, learning_rate, batch_size, augmentation, seed, on_epoch))
        return small
    distill(
        small, teacher, data, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size,
        augmentation=augmentation, seed=seed, on_epoch=on_epoch, **options,
    )  # fmt: skip
    return small


def recalibrate(model: keras.Model, split: Split, augmenter: Augmenter, *, seed: int = 0) -> None:
    """Computes the statistics of all BatchNormalization layers again, and freezes these layers.

    With channels removed the sums that they normalize change; this alone already shows how good a smaller network will
    be (Li et al. 2020, https://arxiv.org/abs/2007.02491).

    Args:
        model: changed in place. Its other layers are trainable afterwards.
        split: items, of which up to 1280 are used.
        augmenter: draws the view of each.
        seed: of choice and views.
    """
    import tensorflow as tf

    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    model.trainable = True
    if not layers:
        return
    quicken_batchnorm(model)

    @tf.function(reduce_retracing=True, jit_compile=False)
    def look(items: tf.Tensor) -> None:
        model(tf.cast(items, tf.float32), training=True)

    chosen = split.stratified(_BATCH * _BATCHES, seed)
    batches = chosen.batches(model_inputs(model), _BATCH)
    for step, (inputs, labels) in enumerate(track(batches, "Statistics of BatchNorm", total=-(-len(chosen) // _BATCH))):
        if len(labels) > 1:
            look(augmenter(only(inputs), np.asarray(labels), seed=seed + step)[0])
    for layer in layers:
        layer.trainable = False
