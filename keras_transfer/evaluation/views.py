"""What a network sees: its first filters, a picture on its way through the stages, pictures by their features."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_transfer.models import stages
from keras_transfer.models.graph import input_tensor
from keras_transfer.models.stage import can_train

Array = np.ndarray[Any, Any]


def first_filters(model: keras.Model) -> Array | None:
    """The kernels of the first convolution that reads colours, as small pictures.

    Args:
        model: a functional classifier on pixels.

    Returns:
        `uint8 [filters, height, width, 3]`, each stretched about mid-gray; None where the first layer with weights is
        no such convolution.
    """
    layers = (layer for stage in stages(model)[:1] for layer in stage.layers if can_train(layer))
    first: Any = next((layer for layer in layers if hasattr(layer, "kernel")), None)
    if first is None or len(first.kernel.shape) != 4 or first.kernel.shape[2] != 3:
        return None
    kernels = keras.ops.convert_to_numpy(first.kernel).astype(np.float64).transpose(3, 0, 1, 2)
    strongest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    return np.rint(127.5 + 127.5 * kernels / np.maximum(strongest, 1e-9)).astype(np.uint8)


class StageMaps(NamedTuple):
    """What a stage makes of pictures: its `name`, its channels shown by `channels`, and `maps` of them."""

    name: str
    channels: list[list[int]]  # [pictures][count]
    maps: Array  # float32 [pictures, count, h, w] in 0..1


def stage_maps(model: keras.Model, pixels: Array, count: int = 6) -> list[StageMaps]:
    """The channels that each stage varies most over a picture.

    Args:
        model: a functional classifier on pixels in 0..255.
        pixels: `uint8 [n, H, W, 3]`, a few pictures.
        count: channels a stage and picture.

    Returns:
        One entry a stage that has a map, from the input up; each map stretched to 0..1.
    """
    cut = [stage for stage in stages(model) if len(stage.output.shape) == 4]
    if not cut or not len(pixels):
        return []
    watched = keras.Model(input_tensor(model), [stage.output for stage in cut])
    outputs = watched(pixels.astype(np.float32), training=False)
    found = []
    for stage, output in zip(cut, outputs if isinstance(outputs, list | tuple) else [outputs], strict=True):
        values = keras.ops.convert_to_numpy(output).astype(np.float32).transpose(0, 3, 1, 2)
        order = np.argsort(-values.std(axis=(2, 3)), axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(values, order[:, :, None, None], axis=1)
        low, high = chosen.min(axis=(2, 3), keepdims=True), chosen.max(axis=(2, 3), keepdims=True)
        found.append(StageMaps(stage.name, order.tolist(), (chosen - low) / np.maximum(high - low, 1e-9)))
    return found


def embed(rows: Array, seed: int = 0) -> tuple[Array, str]:
    """Features as places in a plane: like pictures lie near each other.

    By UMAP (McInnes et al. 2018, https://arxiv.org/abs/1802.03426) where `umap-learn` is installed, else by the first
    two principal components.

    Args:
        rows: float `[n, features]`, n of 3 or more.
        seed: of the layout.

    Returns:
        `float64 [n, 2]` in 0..1, and the name of the method.

    >>> places, _ = embed(np.eye(5))
    >>> places.shape, float(places.min()), float(places.max())
    ((5, 2), 0.0, 1.0)
    """
    if find_spec("umap") is not None and len(rows) >= 15:
        places = import_module("umap").UMAP(n_components=2, random_state=seed, n_jobs=1).fit_transform(rows)
        name = "UMAP"
    else:
        from sklearn.decomposition import PCA

        scaled = rows - rows.mean(axis=0)
        fitted = PCA(2, random_state=seed).fit(scaled)
        places = fitted.transform(scaled)
        name = f"principal components, which hold {fitted.explained_variance_ratio_.sum():.0%} of the variance"
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray((places - low) / np.maximum(high - low, 1e-12), np.float64), name


def spread_out(places: Array, count: int) -> list[int]:
    """Indices of places far from one another: each is the farthest from those before it.

    >>> spread_out(np.array([[0.0, 0], [0.1, 0], [1, 1], [0, 1]]), 3)
    [0, 2, 3]
    """
    chosen = [0]
    nearest = np.linalg.norm(places - places[0], axis=1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return chosen
