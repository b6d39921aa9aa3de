"""Training a finished classifier's whole network on, before it is made smaller."""

from collections.abc import Callable
from typing import Any

import keras

from keras_transfer.compression.cut import copy_model, cut_below, restore_flags
from keras_transfer.compression.retrain import retrain
from keras_transfer.data import ImageData
from keras_transfer.errors import InputError
from keras_transfer.models.twin import copy_weights, make_twin


def fine_tune(
    model: keras.Model,
    data: ImageData,
    *,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    batch_size: int = 16,
    augmentation: str | dict[str, Any] = "auto",
    seed: int = 0,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> keras.Model:
    """Trains every layer of a classifier on, on new views of the training images in each epoch.

    `fit` trains the top of a network, on features that are computed once. Where accuracy is worth minutes this comes
    after it: as `prune` trains, and without the zeros. BatchNormalization stays frozen. It never ends worse on the
    validation images than it begins. It runs as a `tf_keras` twin, whose training steps take half the time.

    Args:
        model: a functional or Sequential classifier on pixels in 0..255. It stays as it is.
        data: from `load_images`; training images train, validation images choose the epoch, test images are not read.
        epochs: passes over the training images.
        learning_rate: Adam's highest; it climbs for a tenth of the steps and falls by a cosine to zero.
        batch_size: images a step.
        augmentation: see `build_augmenter`.
        seed: of orders, augmentation and dropout.
        on_epoch: called with each epoch's figures.

    Returns:
        A new model, not compiled, of the same layers and `trainable` flags.

    Raises:
        InputError: an argument is out of range, or the model has no twin.
    """
    if epochs < 1:
        raise InputError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    keras.utils.set_random_seed(seed)
    trained = copy_model(model)
    _, top = cut_below(trained, {id(layer) for layer in trained._flatten_layers()})
    twin = make_twin(top)
    retrain(
        twin,
        data,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        augmentation=augmentation,
        seed=seed,
        start=True,
        label="Fine-tuning the whole network",
        on_epoch=on_epoch,
    )
    copy_weights(twin, top)
    restore_flags(model, trained)
    return trained
