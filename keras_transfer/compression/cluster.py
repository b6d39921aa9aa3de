"""Weight clustering by tensorflow-model-optimization: each layer keeps a few different weights, learnt as it trains."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.compression.cut import cut_copy, restore_flags
from keras_transfer.compression.retrain import OnEpoch, Training, retrain
from keras_transfer.compression.sparsity import kernel_layers, spared_layers
from keras_transfer.compression.tfmot import load_tfmot
from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength
from keras_transfer.models.twin import copy_weights, make_twin

if TYPE_CHECKING:
    import tf_keras

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
    on_epoch: OnEpoch | None = None,
) -> keras.Model:
    """Gives the weights of each convolution and dense layer few different values, and trains those values on.

    A file is as large as before and packs better (every APK is compressed): few different weights become few different
    bytes. Han et al. 2016, https://arxiv.org/abs/1510.00149.

    Args:
        model: a functional or Sequential classifier with one input; it stays as it is.
        data: training items train, validation items choose the epoch, test items are not read.
        clusters: how many values a layer may have, from 2 (3 where zeros are kept) to 256.
        coverage: the largest layers are clustered that together hold this share of the weights, in (0, 1]. Small ones
            gain few bytes, and what lies below the lowest clustered layer need not be computed again.
        spare: layers that stay as they are, by name; `"first"` and `"last"` are the first and last of all.
        keep_zeros: zeros of a pruned layer (a tenth of its weights or more) stay zeros: one of the values is zero.
        start: the first values: `"kmeans"`, nearest to the weights; `"linear"`, evenly spaced (smaller files, a
            coarser fit); `"density"`, by the weights' distribution.
        epochs, learning_rate, batch_size: passes over the training items, Adam's highest rate, items per step.
        augmentation, seed: see `keras_transfer.fit`.
        on_epoch: called with each epoch's figures.

    Returns:
        A new model, not compiled, of the same layers and `trainable` flags.

    Raises:
        InputError: an argument is out of range, the model has no twin.
    """
    _check(clusters, keep_zeros, start)
    names = _largest(model, clusters, coverage, spare)
    training = Training(epochs, learning_rate, batch_size, augmentation, seed, on_epoch, "Clustering")
    keras.utils.set_random_seed(seed)
    cut = cut_copy(model, names, data.train)
    wrapped = _wrap(make_twin(cut.top), clusters, _pruned(cut.top, cut.names, keep_zeros), start)
    retrain(wrapped, data, training, below=cut.below)
    copy_weights(load_tfmot().clustering.keras.strip_clustering(wrapped), cut.top)
    restore_flags(model, cut.model)
    return cut.model


def _check(clusters: int, keep_zeros: bool, start: str) -> None:
    least = 3 if keep_zeros else 2
    if not least <= clusters <= 256:
        raise InputError(f"`clusters` must be from {least} to 256. Received: clusters={clusters}.")
    if start not in ("linear", "density", "kmeans"):
        raise InputError(f"`start` must be 'linear', 'density' or 'kmeans'. Received: start={start!r}.")


def _pruned(model: keras.Model, names: Collection[str], keep_zeros: bool) -> dict[str, bool]:
    """By a layer's name, whether its zeros are to stay."""
    layers = kernel_layers(model)
    return {name: keep_zeros and bool(np.mean(np.asarray(layers[name].kernel) == 0) >= _SPARSE) for name in names}


def _largest(model: keras.Model, clusters: int, coverage: float, spare: Sequence[str]) -> set[str]:
    """The largest layers that hold `coverage` of the weights, and more weights each than there are clusters."""
    if not 0 < coverage <= 1:
        raise InputError(f"`coverage` must be above 0 and at most 1. Received: coverage={coverage}.")
    layers = kernel_layers(model)
    spared = spared_layers(layers, spare)
    counts = {name: int(np.prod(layer.kernel.shape)) for name, layer in layers.items()}
    largest: set[str] = set()
    covered = 0
    for name in sorted(counts, key=lambda name: -counts[name]):
        if covered >= coverage * sum(counts.values()):
            break
        covered += counts[name]
        if name not in spared and counts[name] > 2 * clusters:
            largest.add(name)
    if not largest:
        raise InputError("No layer is left to cluster: spare fewer, or take fewer clusters.")
    return largest


def _wrap(twin: "tf_keras.Model", clusters: int, zeros: dict[str, bool], start: Start) -> "tf_keras.Model":
    """The twin with tfmot's wrappers round the layers named in `zeros`."""
    import tf_keras

    kinds = load_tfmot().clustering.keras.CentroidInitialization
    # The public `cluster_weights` cannot keep zeros.
    from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights

    starts = {"linear": kinds.LINEAR, "density": kinds.DENSITY_BASED, "kmeans": kinds.KMEANS_PLUS_PLUS}

    def wrap(layer: "tf_keras.layers.Layer") -> "tf_keras.layers.Layer":
        if layer.name not in zeros:
            return layer
        return cluster_weights(layer, clusters, starts[start], preserve_sparsity=zeros[layer.name])

    wrapped = tf_keras.models.clone_model(twin, clone_function=wrap)
    for layer in wrapped.layers:
        for name, centroids in getattr(layer, "cluster_centroids", {}).items():
            if start == "kmeans":  # tfmot's own are the first guess of k-means++ alone
                weights = layer.original_clusterable_weights[name].numpy()
                centroids.assign(_kmeans(centroids.numpy(), weights.ravel(), keep_zero=layer.preserve_sparsity))
    return wrapped


def _kmeans(
    centroids: NDArray[np.float32], weights: NDArray[np.float32], keep_zero: bool, rounds: int = 20
) -> NDArray[np.float32]:
    """Lloyd's iterations: each centroid moves to the mean of the weights nearest to it."""
    centroids = np.sort(centroids)  # the zero among them is the smallest, wherever it stands
    for _ in range(rounds):
        nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)
        counts = np.bincount(nearest, minlength=len(centroids))
        means = np.bincount(nearest, weights, len(centroids)) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centroids)
        if keep_zero:
            moved[np.argmin(np.abs(centroids))] = 0
        centroids = np.sort(moved)
    return centroids.astype(weights.dtype)
