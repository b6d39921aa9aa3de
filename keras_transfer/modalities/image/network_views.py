"""What a network for photographs sees: its first filters, and a picture on its way through the stages."""

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.models import stages
from keras_transfer.models.graph import input_tensor
from keras_transfer.models.stage import can_train


def first_filters(model: keras.Model) -> NDArray[np.uint8] | None:
    """The kernels of the first convolution that reads colours, as small pictures.

    Args:
        model: a functional classifier on pixels.

    Returns:
        `uint8 [filters, height, width, 3]`, each stretched about mid-gray; None where the first layer with weights is
        no such convolution.
    """
    layers = (layer for stage in stages(model)[:1] for layer in stage.layers if can_train(layer))
    first = next((layer for layer in layers if hasattr(layer, "kernel")), None)
    if first is None or len(first.kernel.shape) != 4 or first.kernel.shape[2] != 3:
        return None
    kernels = keras.ops.convert_to_numpy(first.kernel).astype(np.float64).transpose(3, 0, 1, 2)
    strongest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.rint(127.5 + 127.5 * kernels / np.maximum(strongest, 1e-9)), np.uint8)


class StageMaps(NamedTuple):
    """The maps of a stage: its `name`, its channels shown by `channels`, and `maps` of them."""

    name: str
    channels: list[list[int]]  # [pictures][count]
    maps: NDArray[np.float32]  # float32 [pictures, count, h, w] in 0..1


def stage_maps(model: keras.Model, pixels: NDArray[np.uint8], count: int = 6) -> list[StageMaps]:
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
    views = []
    for stage, output in zip(cut, outputs if isinstance(outputs, list | tuple) else [outputs], strict=True):
        values = keras.ops.convert_to_numpy(output).astype(np.float32).transpose(0, 3, 1, 2)
        order = np.argsort(-values.std(axis=(2, 3)), axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(values, order[:, :, None, None], axis=1)
        low, high = chosen.min(axis=(2, 3), keepdims=True), chosen.max(axis=(2, 3), keepdims=True)
        views.append(StageMaps(stage.name, order.tolist(), (chosen - low) / np.maximum(high - low, 1e-9)))
    return views
