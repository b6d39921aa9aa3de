"""Structured pruning as a whole: channels removed, statistics taken anew, accuracy regained from the dense model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.compression.channels import remove_channels
from keras_transfer.compression.distill import distill
from keras_transfer.compression.retrain import retrain
from keras_transfer.data import Dataset, Split
from keras_transfer.inputs import Augmenter, Strength, only
from keras_transfer.models.graph import model_inputs
from keras_transfer.progress import track
from keras_transfer.training.phases import quicken_batchnorm

_BATCH = 32
_BATCHES = 40  # at momentum 0.9 the old statistics are below 2% then


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
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> keras.Model:
    """Makes a classifier smaller by removing whole channels, and trains what is left.

    Args:
        model: as for `remove_channels`, and a classifier on pixels in 0..255. Left as it is.
        data: from `load_images`; training images say which channels matter and train, validation images choose the
            epoch, test images are not read.
        multiply_adds: share to keep, in all or by stage; see `remove_channels`.
        teacher: whom the smaller model learns from by `distill`: best `model` itself; None trains on the labels alone.
        epochs: passes over the training images.
        learning_rate: Adam's highest.
        batch_size: images a step.
        augmentation: see `keras_transfer.build_augmenter`.
        seed: of everything drawn.
        on_epoch: called with each epoch's row (see `retrain`).
        options: further arguments of `distill`, where there is a teacher.

    Returns:
        The smaller model, with the weights of its best epoch; BatchNormalization layers are frozen in it.

    Raises:
        InputError: see `remove_channels` and `distill`.
    """
    small = remove_channels(model, data.train, multiply_adds=multiply_adds, seed=seed)
    recalibrate(small, data.train, data.train.augmenter(augmentation), seed=seed)
    told: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "augmentation": augmentation,
        "seed": seed,
        "on_epoch": on_epoch,
    }
    if teacher is None:
        retrain(small, data, **told)
    else:
        distill(small, teacher, data, **told, **options)
    return small


def recalibrate(model: keras.Model, split: Split, augmenter: Augmenter, *, seed: int = 0) -> None:
    """Takes the statistics of all BatchNormalization layers anew, and freezes these layers.

    With channels gone the sums that they normalize are others; doing no more than this already tells how good a
    smaller network will be (Li et al. 2020, https://arxiv.org/abs/2007.02491).

    Args:
        model: changed in place. Its other layers are trainable afterwards.
        split: images, of which up to 1280 are looked at.
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
    def look(images: Any) -> None:
        model(tf.cast(images, tf.float32), training=True)

    chosen = split.stratified(_BATCH * _BATCHES, seed)
    batches = chosen.batches(model_inputs(model), _BATCH)
    for step, (pixels, labels) in enumerate(track(batches, "Statistics of BatchNorm", total=-(-len(chosen) // _BATCH))):
        if len(pixels) > 1:
            look(augmenter(only(pixels), np.asarray(labels), seed=seed + step)[0])
    for layer in layers:
        layer.trainable = False
