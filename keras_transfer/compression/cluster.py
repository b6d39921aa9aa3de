"""Weight clustering by tensorflow-model-optimization: each layer keeps a few different weights, learnt as it trains."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_transfer.compression.cut import copy_model, cut_below, restore_flags
from keras_transfer.compression.retrain import retrain
from keras_transfer.compression.sparsity import kernel_layers, spared_layers
from keras_transfer.compression.tfmot import load_tfmot
from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength
from keras_transfer.models.twin import copy_weights, make_twin

Start = Literal["linear", "density", "kmeans"]

_SPARSE = 0.1  # share of zeros from which a layer counts as pruned


def cluster(
    model: keras.Model,
    data: Dataset,
    clusters: int = 16,
    *,
    coverage: float = 0.95,
    spare: Sequence[str] = ("first", "last"),
    keep_zeros: bool = True,
    start: Start = "kmeans",
    epochs: int = 4,
    learning_rate: float = 1e-4,
    batch_size: int = 32,
    augmentation: Strength = "auto",
    seed: int = 0,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> keras.Model:
    """Gives the weights of each convolution and dense layer few different values, and trains those values on.

    A file is as large as before and packs better (every APK is compressed): few different weights become few different
    bytes. Han et al. 2016, https://arxiv.org/abs/1510.00149.

    Args:
        model: a functional or Sequential classifier on pixels in 0..255. It stays as it is.
        data: from `load_images`; training images train, validation images choose the epoch, test images are not read.
        clusters: how many values a layer may have, from 2 (3 where zeros are kept) to 256.
        coverage: the largest layers are clustered that together hold this share of the weights, in (0, 1]. Small ones
            gain few bytes, and what lies below the lowest clustered layer need not be computed again.
        spare: layers that stay as they are, by name; `"first"` and `"last"` are the first and last of all.
        keep_zeros: zeros of a pruned layer (a tenth of its weights or more) stay zeros: one of the values is zero.
        start: the first values: `"kmeans"`, nearest to the weights; `"linear"`, evenly spaced (smaller files, a
            coarser fit); `"density"`, by the weights' distribution.
        epochs: passes over the training images.
        learning_rate: Adam's highest.
        batch_size: images a step.
        augmentation: see `keras_transfer.build_augmenter`.
        seed: of orders, augmentation and dropout.
        on_epoch: called with each epoch's figures.

    Returns:
        A new model, not compiled, of the same layers and `trainable` flags.

    Raises:
        InputError: an argument is out of range, the model has no twin.
    """
    load_tfmot()
    least = 3 if keep_zeros else 2
    if not least <= clusters <= 256:
        raise InputError(f"`clusters` must be from {least} to 256. Received: clusters={clusters}.")
    if start not in ("linear", "density", "kmeans"):
        raise InputError(f"`start` must be 'linear', 'density' or 'kmeans'. Received: start={start!r}.")
    names = _largest(model, clusters, coverage, spare)
    keras.utils.set_random_seed(seed)
    clustered = copy_model(model)
    changed = {id(layer) for name, layer in kernel_layers(clustered).items() if name in names}
    below, top = cut_below(clustered, changed)
    zeros = {
        name: keep_zeros and float(np.mean(np.asarray(layer.kernel) == 0)) >= _SPARSE
        for name, layer in kernel_layers(top).items()
        if id(layer) in changed
    }
    wrapped = _wrap(make_twin(top), clusters, zeros, start)
    retrain(
        wrapped,
        data,
        below=below,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        augmentation=augmentation,
        seed=seed,
        label="Clustering",
        on_epoch=on_epoch,
    )
    copy_weights(load_tfmot().clustering.keras.strip_clustering(wrapped), top)
    restore_flags(model, clustered)
    return clustered


def _largest(model: keras.Model, clusters: int, coverage: float, spare: Sequence[str]) -> set[str]:
    """The largest layers that hold `coverage` of the weights, and more weights each than there are clusters."""
    if not 0 < coverage <= 1:
        raise InputError(f"`coverage` must be above 0 and at most 1. Received: coverage={coverage}.")
    layers = kernel_layers(model)
    spared = spared_layers(layers, spare)
    counts = {name: int(np.prod(layer.kernel.shape)) for name, layer in layers.items()}
    found: set[str] = set()
    covered = 0
    for name in sorted(counts, key=lambda name: -counts[name]):
        if covered >= coverage * sum(counts.values()):
            break
        covered += counts[name]
        if name not in spared and counts[name] > 2 * clusters:
            found.add(name)
    if not found:
        raise InputError("No layer is left to cluster: spare fewer, or take fewer clusters.")
    return found


def _wrap(twin: Any, clusters: int, zeros: dict[str, bool], start: Start) -> Any:
    """The twin with tfmot's wrappers round the layers named in `zeros`."""
    import tf_keras

    kinds = load_tfmot().clustering.keras.CentroidInitialization
    # The public `cluster_weights` cannot keep zeros.
    from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights

    starts = {"linear": kinds.LINEAR, "density": kinds.DENSITY_BASED, "kmeans": kinds.KMEANS_PLUS_PLUS}

    def wrap(layer: Any) -> Any:
        if layer.name not in zeros:
            return layer
        return cluster_weights(layer, clusters, starts[start], preserve_sparsity=zeros[layer.name])

    wrapped = tf_keras.models.clone_model(twin, clone_function=wrap)
    for layer in wrapped.layers:
        for name, centroids in getattr(layer, "cluster_centroids", {}).items():
            if start == "kmeans":  # tfmot's own are the first guess of k-means++ alone
                weights = layer.original_clusterable_weights[name].numpy()
                centroids.assign(_settle(centroids.numpy(), weights.ravel(), keep_zero=layer.preserve_sparsity))
    return wrapped


def _settle(centroids: np.ndarray, weights: np.ndarray, keep_zero: bool, rounds: int = 20) -> np.ndarray:
    """Lloyd's iterations: each centroid moves to the mean of the weights nearest to it."""
    centroids = np.sort(centroids)  # the zero among them is found by its size, wherever it stands
    for _ in range(rounds):
        nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)
        counts = np.bincount(nearest, minlength=len(centroids))
        means = np.bincount(nearest, weights, len(centroids)) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centroids)
        if keep_zero:
            moved[np.argmin(np.abs(centroids))] = 0
        centroids = np.sort(moved)
    return centroids.astype(weights.dtype)
